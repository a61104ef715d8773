/** What TCP had to send twice on a connection, from the kernel's own count (tcpi_total_retrans). */
import { runSync } from '../../../src/child-process.ts';
import { netns } from '../../../src/native.ts';
import type { Stream } from './stream.ts';

/** One line for each end of the connection that has sent something again; none for UDP. */
export function retransmissions(stream: Stream): string[] {
  const { from, to, protocol, port } = stream.options;
  if (protocol === 'UDP') return [];
  return [
    { end: from, filter: `sport = :${stream.sourcePort}` },
    { end: to, filter: `sport = :${port}` },
  ].flatMap(({ end, filter }) => {
    const text = netns.run(end.namespace, () => runSync('ss', ['-Htin', 'state', 'established', filter]));
    if (!text.includes('cwnd:')) return [`${stream.name}: no connection at ${end.name}`];
    const count = /retrans:\d+\/(\d+)/.exec(text)?.[1];
    return count === undefined ? [] : [`${stream.name}: ${count} by ${end.name}`];
  });
}
