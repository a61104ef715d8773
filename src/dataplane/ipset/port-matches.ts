/** Port ranges of a rule -> the matches of as few iptables rules as can hold them. */
import type { PortRange } from '../../model/compiled.ts';
import type { Way } from './names.ts';

/** What `multiport` takes; a range counts twice. */
const MULTIPORT_SLOTS = 15;

/**
 * One text for each iptables rule that is needed; the empty text admits every port of every protocol. The ports are those
 * of the end that was asked: the destination of a request, the source of a reply.
 */
export function portMatches(ports: readonly PortRange[] | 'every', way: Way): readonly string[] {
  if (ports === 'every') return [''];
  const byProtocol = Map.groupBy(ports, ({ protocol }) => protocol);
  return [...byProtocol].flatMap(([protocol, ranges]) => {
    const name = `-p ${protocol.toLowerCase()}`;
    if (ranges.some(({ from, to }) => from === 0 && to === 65535)) return [name];
    return chunks(ranges).map((chunk) => `${name} ${matchOf(chunk, way === 'request' ? 'd' : 's')}`);
  });
}

function matchOf(ranges: readonly PortRange[], end: 'd' | 's'): string {
  const texts = ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}:${to}`));
  // The protocol's own match is the cheapest, but has none for SCTP on every node.
  const [only] = texts;
  if (texts.length === 1 && ranges[0]?.protocol !== 'SCTP') return `--${end}port ${only}`;
  return `-m multiport --${end}ports ${texts.join(',')}`;
}

function chunks(ranges: readonly PortRange[]): PortRange[][] {
  const out: PortRange[][] = [];
  let room = 0;
  for (const range of ranges) {
    const slots = range.from === range.to ? 1 : 2;
    if (slots > room) {
      out.push([]);
      room = MULTIPORT_SLOTS;
    }
    out.at(-1)?.push(range);
    room -= slots;
  }
  return out;
}
