/**
 * Whether iptables sees what passes between two ports of a bridge: the kernel shows it such packets only when br_netfilter
 * is there and told to, separately for each family.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Family } from '../../model/address.ts';

const FILES: Readonly<Record<Family, string>> = {
  4: '/proc/sys/net/bridge/bridge-nf-call-iptables',
  6: '/proc/sys/net/bridge/bridge-nf-call-ip6tables',
};

/** Names of the settings that are missing or off, in the network namespace of the caller. */
export function missingBridgeSysctls(families: readonly Family[]): string[] {
  return families
    .map((family) => FILES[family])
    .filter((file) => !isOn(file))
    .map(nameOf);
}

/** Turns them on, where the kernel has them. Those that cannot be set stay missing. */
export function setBridgeSysctls(families: readonly Family[]): void {
  for (const family of families) {
    try {
      if (!isOn(FILES[family])) writeFileSync(FILES[family], '1');
    } catch {
      // Without br_netfilter there is no such file, and in a container it may be read-only: `missing` says so.
    }
  }
}

function isOn(file: string): boolean {
  try {
    return readFileSync(file, 'utf8').trim() === '1';
  } catch {
    return false;
  }
}

function nameOf(file: string): string {
  return file.replace('/proc/sys/', '').replaceAll('/', '.');
}
