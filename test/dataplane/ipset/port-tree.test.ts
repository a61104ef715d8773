/** Rulesets with many rules: a packet walks few of them, and meets the one that it would meet first in a single chain. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dispatchRole, rulesetChain, rulesetEnd, sideChain } from '../../../src/dataplane/ipset/names.ts';
import { LEAF } from '../../../src/dataplane/ipset/port-tree.ts';
import { type ChainRule, rulesetChains } from '../../../src/dataplane/ipset/ruleset-chain.ts';
import type { Protocol } from '../../../src/model/cluster.ts';
import type { CompiledRule, PortRange, Ruleset, RulesetId } from '../../../src/model/compiled.ts';

const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];
const ID = 'ruleset' as RulesetId;

function rulesetOf(ports: readonly CompiledRule['ports'][]): Ruleset {
  const rules = ports.map((own, index) => ({
    ref: { policy: `shop/p${index}` as never, direction: 'ingress' as const, index },
    peers: 'anyone' as const,
    ports: own,
  }));
  return { id: ID, direction: 'ingress', policies: ['shop/a' as never], rules };
}

type Way = 'request' | 'reply';

/** Walks as netfilter does. @returns the text of the rule that admits, and how many were looked at */
function walk(chains: ReadonlyMap<string, readonly ChainRule[]>, packet: { protocol: string; port: number }, way: Way) {
  let walked = 0;
  for (let name = rulesetChain('L', ID, way); ; ) {
    let next: string | undefined;
    for (const { text } of chains.get(name) as readonly ChainRule[]) {
      walked++;
      if (!matches(text, packet, way)) continue;
      next = / -g (\S+)$| ?^-g (\S+)$/
        .exec(text)
        ?.slice(1)
        .find((one) => one !== undefined);
      if (next === undefined) return { text, walked };
      break;
    }
    if (next === undefined) throw new Error(`a packet comes to the end of ${name}`);
    // By its mark.
    const ends = next === sideChain('L', `${dispatchRole('ingress', way)}END`);
    name = ends ? rulesetEnd('L', ID, way) : next;
  }
}

function matches(text: string, { protocol, port }: { protocol: string; port: number }, way: Way): boolean {
  if (/-m bpf|RELATED|icmp/.test(text)) return false;
  const wanted = /-p (\S+)/.exec(text)?.[1];
  if (wanted !== undefined && wanted !== protocol.toLowerCase()) return false;
  const end = way === 'request' ? 'd' : 's';
  const ranges = new RegExp(`--${end}ports? (\\S+)`).exec(text)?.[1]?.split(',');
  return ranges === undefined || ranges.some((range) => holds(range, port));
}

function holds(range: string, port: number): boolean {
  const [from = '', to = from] = range.split(':');
  return Number(from) <= port && port <= Number(to);
}

function firstOf(ruleset: Ruleset, packet: { protocol: string; port: number }): string | undefined {
  const rule = ruleset.rules.find(({ ports }) => {
    if (ports === 'every') return true;
    return ports.some(({ protocol, from, to }) => {
      return protocol === packet.protocol && from <= packet.port && packet.port <= to;
    });
  });
  return rule && `${rule.ref.policy} ingress ${rule.ref.index}`;
}

const range: fc.Arbitrary<PortRange> = fc
  .record({
    protocol: fc.constantFrom(...PROTOCOLS),
    // Ports that lie close together, at the edges of the tree's parts and far apart.
    from: fc.oneof(fc.integer({ min: 4090, max: 4110 }), fc.integer({ min: 0, max: 65_535 })),
    length: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 65_535 })),
  })
  .map(({ protocol, from, length }) => ({ protocol, from, to: Math.min(65_535, from + length) }));

describe('a ruleset with many rules', () => {
  it('leads each packet to the rule that a single chain would', () => {
    const ports = fc.oneof(
      { weight: 1, arbitrary: fc.constant('every' as const) },
      { weight: 20, arbitrary: fc.array(range, { maxLength: 3 }) },
    );
    const asked = fc.record({
      protocol: fc.constantFrom(...PROTOCOLS, 'ICMP'),
      port: fc.oneof(fc.integer({ min: 4090, max: 4110 }), fc.integer({ min: 0, max: 65_535 })),
    });
    fc.assert(
      fc.property(
        fc.array(ports, { minLength: LEAF + 1, maxLength: 80 }),
        fc.array(asked, { minLength: 1, maxLength: 20 }),
        fc.constantFrom('request' as const, 'reply' as const),
        (own, packets, way) => {
          const ruleset = rulesetOf(own);
          const chains = rulesetChains(ruleset, new Map(), { side: 'L', family: 4, way });
          for (const packet of packets) {
            const { text } = walk(chains, packet, way);
            const wanted = firstOf(ruleset, packet);
            if (wanted === undefined) expect(text).toMatch(/-j DROP$/);
            // What answers is not counted, so it does not say whose rule it is.
            else expect(text).toMatch(way === 'reply' ? /-j RETURN$/ : new RegExp(`"${wanted}" -j RETURN$`));
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('lets no packet walk more than a few dozen rules, with 5,000 ports as with 50', () => {
    const longest = (count: number) => {
      const ports = Array.from({ length: count }, (_, index): PortRange[] => [
        { protocol: 'TCP', from: 10_000 + index, to: 10_000 + index },
      ]);
      const chains = rulesetChains(rulesetOf(ports), new Map(), { side: 'L', family: 4, way: 'request' });
      const walks = ports.map((_, index) => walk(chains, { protocol: 'TCP', port: 10_000 + index }, 'request').walked);
      return Math.max(...walks);
    };
    expect(longest(50)).toBeLessThanOrEqual(40);
    expect(longest(5_000)).toBeLessThanOrEqual(56);
  });

  it('changes few chains when a rule comes', () => {
    const ports = (count: number) => {
      return Array.from({ length: count }, (_, index): PortRange[] => [
        { protocol: 'TCP', from: 1_000 + 3 * index, to: 1_000 + 3 * index },
      ]);
    };
    const textsOf = (count: number) => {
      const chains = rulesetChains(rulesetOf(ports(count)), new Map(), { side: 'L', family: 4, way: 'request' });
      return new Map([...chains].map(([name, rules]) => [name, rules.map(({ text }) => text).join('\n')]));
    };
    const before = textsOf(1_000);
    const changed = [...textsOf(1_001)].filter(([name, text]) => before.get(name) !== text);
    expect(before.size).toBeGreaterThan(100);
    // The leaf, what leads to it, and the ruleset's own.
    expect(changed.length).toBeLessThanOrEqual(5);
  });

  it('has names that iptables takes, each its own', () => {
    const ports = Array.from({ length: 300 }, (_, index): PortRange[] => [
      { protocol: 'UDP', from: 7 * index, to: 7 * index + 2 },
    ]);
    const names = (['request', 'reply'] as const).flatMap((way) => {
      return [...rulesetChains(rulesetOf(ports), new Map(), { side: 'R', family: 6, way }).keys()];
    });
    expect(Math.max(...names.map((name) => name.length))).toBeLessThanOrEqual(28);
    expect(new Set(names).size).toBe(names.length);
  });
});
