/** Port ranges of a rule -> the matches of as few iptables rules as can hold them. */
import type { PortRange } from '../../model/compiled.ts';

/** What `multiport` takes; a range counts twice. */
const MULTIPORT_SLOTS = 15;

/** One text for each iptables rule that is needed; the empty text admits every port of every protocol. */
export function portMatches(ports: readonly PortRange[] | 'every'): readonly string[] {
  if (ports === 'every') return [''];
  const byProtocol = Map.groupBy(ports, ({ protocol }) => protocol);
  return [...byProtocol].flatMap(([protocol, ranges]) => {
    const name = `-p ${protocol.toLowerCase()}`;
    if (ranges.some(({ from, to }) => from === 0 && to === 65535)) return [name];
    return chunks(ranges).map((chunk) => `${name} ${matchOf(chunk)}`);
  });
}

function matchOf(ranges: readonly PortRange[]): string {
  const texts = ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}:${to}`));
  // The protocol's own match is the cheapest, but has none for SCTP on every node.
  const [only] = texts;
  if (texts.length === 1 && ranges[0]?.protocol !== 'SCTP') return `--dport ${only}`;
  return `-m multiport --dports ${texts.join(',')}`;
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
