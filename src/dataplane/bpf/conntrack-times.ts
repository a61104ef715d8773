/** The settings of this network namespace's conntrack -> how long it may know a connection of UDP after its last packet. */
import { readFileSync } from 'node:fs';

const FILES = ['nf_conntrack_udp_timeout', 'nf_conntrack_udp_timeout_stream'];

/** In seconds; 0 where there is no conntrack. Whoever changes the settings later has to start the agent anew. */
export function longestUdpSeconds(): number {
  return Math.max(0, ...FILES.map((name) => secondsIn(`/proc/sys/net/netfilter/${name}`)));
}

function secondsIn(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8')) || 0;
  } catch {
    // The module is not loaded; once it is, it has the kernel's own settings, which the programs' default is above.
    return 0;
  }
}
