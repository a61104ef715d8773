/** TCP that sends again only what was lost, in the network namespace of this thread. */
import { existsSync, writeFileSync } from 'node:fs';

/**
 * Segments are also sent twice without any being lost where answers are late or overtake each other, as on a busy machine:
 * tail loss probes after two milliseconds, RACK after little more than a round trip, and the timer after 200 milliseconds.
 */
const SETTINGS: Readonly<Record<string, number>> = {
  tcp_early_retrans: 0,
  tcp_recovery: 0,
  tcp_reordering: 127,
  tcp_max_reordering: 300,
  // Not on kernels before 6.11.
  tcp_rto_min_us: 2_000_000,
};

/** Of connections that are made from now on; in the namespaces of both ends. */
export function makeTcpPatient(): void {
  for (const [name, value] of Object.entries(SETTINGS)) {
    const file = `/proc/sys/net/ipv4/${name}`;
    if (existsSync(file)) writeFileSync(file, `${value}`);
  }
}
