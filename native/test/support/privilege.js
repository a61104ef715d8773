// Tests that need root say so by name where they can't run.
import { readFileSync } from 'node:fs';
import { describe } from 'vitest';

const NEEDED = { CAP_NET_ADMIN: 12n, CAP_SYS_ADMIN: 21n };

const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]}`);
const missing = Object.keys(NEEDED).filter((name) => ((effective >> NEEDED[name]) & 1n) === 0n);

/** `describe` for tests that load BPF or make network namespaces. */
export function describeAsRoot(name, body) {
  if (missing.length === 0) describe(name, body);
  else describe.skip(`${name} [skipped: needs root (${missing.join(', ')})]`, body);
}
