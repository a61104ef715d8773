/** The text of rules and sets, construct by construct. */
import { describe, expect, it } from 'vitest';
import { blockMembers } from '../../../src/dataplane/ipset/block-members.ts';
import { CountSums, parseCounters } from '../../../src/dataplane/ipset/counters.ts';
import { dispatchChains } from '../../../src/dataplane/ipset/dispatch.ts';
import { type GuardedLink, guardChange, guardText } from '../../../src/dataplane/ipset/guard-text.ts';
import { DEFAULT_MARK_FIELD, MarkNumbers } from '../../../src/dataplane/ipset/mark-field.ts';
import { rulesetChain, setName } from '../../../src/dataplane/ipset/names.ts';
import { portMatches } from '../../../src/dataplane/ipset/port-matches.ts';
import { RulesetChains, rulesetChains } from '../../../src/dataplane/ipset/ruleset-chain.ts';
import { parseRules } from '../../../src/dataplane/ipset/snapshot.ts';
import type { Prefix } from '../../../src/model/address.ts';
import type { CompiledRule, IpSet, PortRange, Ruleset, RulesetId, SetId } from '../../../src/model/compiled.ts';

const tcp = (from: number, to = from): PortRange => ({ protocol: 'TCP', from, to });
const block = (cidr: string, ...except: string[]) =>
  ({ kind: 'ipBlock', id: `ipBlock ${cidr}` as SetId, cidr: cidr as Prefix, except: except as Prefix[] }) as const;
const pods: IpSet = { kind: 'pods', id: 'pods shop/{}' as SetId, members: new Set() };

function ruleset(direction: 'ingress' | 'egress', ...rules: Omit<CompiledRule, 'ref'>[]): Ruleset {
  return {
    id: 'ruleset' as RulesetId,
    direction,
    policies: ['shop/a' as never],
    rules: rules.map((rule, index) => ({ ...rule, ref: { policy: 'shop/a' as never, direction, index } })),
  };
}

function admissions(of: Ruleset, sets: readonly IpSet[], way: 'request' | 'reply' = 'request', family: 4 | 6 = 4) {
  const chains = rulesetChains(of, new Map(sets.map((set) => [set.id, set])), { side: 'L', family, way });
  const rules = [...chains.values()].flat();
  const own = rules.filter(({ text }) => / ?-j RETURN$/.test(text) && !/-m bpf |-p (ipv6-)?icmp /.test(text));
  return own.map(({ text }) => text.replace(/ ?(-m comment .*)?-j RETURN$/, ''));
}

describe('a rule', () => {
  it('asks for ports before peers, on the side that was asked', () => {
    const of = ruleset('ingress', { peers: [pods.id], ports: [tcp(80)] });
    expect(admissions(of, [pods])).toEqual([`-p tcp --dport 80 -m set --match-set ${setName('L', 4, pods.id)} src`]);
    expect(admissions(of, [pods], 'reply')).toEqual([
      `-p tcp --sport 80 -m set --match-set ${setName('L', 4, pods.id)} dst`,
    ]);
    const out = ruleset('egress', { peers: [pods.id], ports: [tcp(80)] });
    expect(admissions(out, [pods])).toEqual([`-p tcp --dport 80 -m set --match-set ${setName('L', 4, pods.id)} dst`]);
  });

  it('compares a block without excepts itself, and leaves out what has no address of the family', () => {
    const blocks = [block('10.0.0.0/8'), block('0.0.0.0/0'), block('2001:db8::/32')];
    const of = ruleset('egress', { peers: blocks.map(({ id }) => id), ports: 'every' });
    expect(admissions(of, blocks)).toEqual(['-d 10.0.0.0/8', '']);
    expect(admissions(of, blocks, 'request', 6)).toEqual(['-d 2001:db8::/32']);
  });

  it('with no peer of this family admits nobody, and with no peers at all everybody', () => {
    expect(admissions(ruleset('ingress', { peers: [], ports: 'every' }), [])).toEqual([]);
    expect(admissions(ruleset('ingress', { peers: 'anyone', ports: [tcp(0, 65535)] }), [])).toEqual(['-p tcp']);
  });

  it('is worked out anew when a set that it names came or went', () => {
    const of = ruleset('ingress', { peers: [pods.id], ports: [tcp(80)] });
    const chains = new RulesetChains({ side: 'L', family: 4 });
    const countWith = (...sets: IpSet[]) => {
      const all = [...chains.of(of, new Map(sets.map((set) => [set.id, set])), 'request').values()].flat();
      return all.filter(({ text }) => text.includes('--match-set')).length;
    };
    expect([countWith(), countWith(pods), countWith()]).toEqual([0, 1, 0]);
  });

  it('has as few port matches as iptables takes', () => {
    expect(portMatches('every', 'request')).toEqual(['']);
    expect(portMatches([tcp(80), { protocol: 'UDP', from: 53, to: 53 }], 'request')).toEqual([
      '-p tcp --dport 80',
      '-p udp --dport 53',
    ]);
    const many = Array.from({ length: 8 }, (_, index) => tcp(1000 + 10 * index, 1005 + 10 * index));
    expect(portMatches(many, 'request').map((text) => text.split(',').length)).toEqual([7, 1]);
    expect(portMatches([{ protocol: 'SCTP', from: 7, to: 7 }], 'reply')).toEqual(['-p sctp -m multiport --sports 7']);
  });
});

describe('a block', () => {
  it('is its prefix and, as exceptions, the excepts in it', () => {
    expect(blockMembers(block('10.0.0.0/8', '10.1.0.0/16', '11.0.0.0/8'))).toEqual([
      { prefix: '10.0.0.0/8', nomatch: false },
      { prefix: '10.1.0.0/16', nomatch: true },
    ]);
  });

  it('of the whole family is two halves, one of which may be excepted', () => {
    expect(blockMembers(block('0.0.0.0/0', '128.0.0.0/1'))).toEqual([
      { prefix: '0.0.0.0/1', nomatch: false },
      { prefix: '128.0.0.0/1', nomatch: true },
    ]);
    expect(blockMembers(block('::/0', '8000::/2')).map(({ prefix }) => prefix)).toEqual([
      '::/1',
      '8000::/1',
      '8000::/2',
    ]);
  });

  it('that is excepted whole is empty', () => {
    expect(blockMembers(block('10.0.0.0/8', '10.0.0.0/8'))).toEqual([]);
    expect(blockMembers(block('10.0.0.0/8', '10.0.0.0/7'))).toEqual([]);
  });
});

describe('the dispatch', () => {
  const ids = (count: number) => {
    return new Map(Array.from({ length: count }, (_, index) => [`r${index + 1}` as RulesetId, index + 1] as const));
  };
  const at = { side: 'L', direction: 'ingress', way: 'request' } as const;

  it('walks one jump for each ruleset, then drops', () => {
    const chains = dispatchChains(at, ids(2), DEFAULT_MARK_FIELD);
    expect([...chains].map(([name, rules]) => [name, rules.map(({ text }) => text)])).toEqual([
      [
        'SELVEDGE-L-IN',
        [
          `-m mark --mark 0x10000/0x7fff0000 -g ${rulesetChain('L', 'r1' as RulesetId, 'request')}`,
          `-m mark --mark 0x20000/0x7fff0000 -g ${rulesetChain('L', 'r2' as RulesetId, 'request')}`,
          '-j DROP',
        ],
      ],
    ]);
  });

  it('has leaves where there are many, so that few jumps are walked', () => {
    const chains = dispatchChains(at, ids(200), DEFAULT_MARK_FIELD);
    expect(chains.get('SELVEDGE-L-IN')?.length).toBe(14);
    expect(chains.get('SELVEDGE-L-IN')?.[1]?.text).toBe('-m mark --mark 0x100000/0x7ff00000 -g SELVEDGE-L-IN-1');
    expect(Math.max(...[...chains.values()].map((rules) => rules.length))).toBe(17);
  });

  it('gives numbers that stay, and refuses more than the field holds', () => {
    const numbers = new MarkNumbers<string>({ shift: 0, bits: 2 });
    numbers.follow(['a', 'b', 'c']);
    expect([...numbers.follow(['a', 'c', 'd'])]).toEqual([
      ['a', 1],
      ['c', 3],
      ['d', 2],
    ]);
    expect(() => numbers.follow(['a', 'b', 'c', 'd'])).toThrow(
      'rulesets in the mark field: 4 needed, there is room for 3',
    );
  });
});

it('the guard has tables only for links that there are', () => {
  const link = { name: 'veth1', kind: 'strict', addresses: ['10.0.0.1', 'fd00::1'] as never } as const;
  expect(guardText([])).not.toMatch(/chain/);
  expect(guardText([{ ...link, bridged: true }])).toContain('elements = { "veth1" . 10.0.0.1 }');
  expect(guardText([{ ...link, bridged: true }])).not.toMatch(/^table inet selvedge \{$/m);
  expect(guardText([{ ...link, bridged: false }])).toMatch(/^table inet selvedge \{$/m);
});

describe('a guard that changes', () => {
  const link = { name: 'veth1', bridged: true, kind: 'endpoint', addresses: ['10.0.0.1'] as never } as const;
  const other = { ...link, name: 'veth2', addresses: ['10.0.0.2'] as never };
  const change = (before: readonly GuardedLink[], after: readonly GuardedLink[]) => {
    return guardChange(guardText(before), guardText(after));
  };

  it('takes and gives single names, where nothing else is another', () => {
    const [isolated, closed] = [
      { ...link, kind: 'strict' },
      { ...other, kind: 'closed' },
    ] as const;
    expect(change([link, other], [isolated, other])).toBe('add element bridge selvedge strict { "veth1" }\n');
    expect(change([isolated, other], [link, other])).toBe('delete element bridge selvedge strict { "veth1" }\n');
    expect(change([link, other], [link, closed])).toBe(
      'delete element bridge selvedge ports { "veth2" }\nadd element bridge selvedge closed { "veth2" }\n',
    );
  });

  it('is written whole where addresses, tables or rules are others', () => {
    expect(change([link], [link, other])).toBeUndefined();
    expect(change([link], [{ ...link, bridged: false }])).toBeUndefined();
    expect(guardChange(guardText([link]), guardText([link], 7))).toBeUndefined();
  });
});

it('a saved table is read with and without counters', () => {
  const text = ['*mangle', ':FORWARD ACCEPT [0:0]', ':SELVEDGE-FORWARD - [0:0]', ':OTHER - [0:0]'];
  const rules = ['-A FORWARD -j SELVEDGE-FORWARD', '-A OTHER -j DROP', '-A SELVEDGE-FORWARD -j RETURN', 'COMMIT'];
  const expected = {
    chains: new Map([['SELVEDGE-FORWARD', 1]]),
    hooks: new Map([['FORWARD', 1]]),
    overtaken: new Set(),
  };
  expect(parseRules([...text, ...rules].join('\n'))).toEqual(expected);
  const counted = [...text, ...rules.map((rule) => (rule === 'COMMIT' ? rule : `[7:90] ${rule}`))].join('\n');
  expect(parseRules(counted)).toEqual(expected);
  expect(parseCounters(counted).get('SELVEDGE-FORWARD')).toEqual([{ packets: 7n, bytes: 90n }]);
});

it('counts of rules that somebody has written into are nobody’s', () => {
  const sums = new CountSums();
  const counted = { text: '-j DROP', counts: { verdict: 'deny', direction: 'ingress', policies: [] } } as const;
  sums.add([counted], [{ packets: 1n, bytes: 2n }]);
  sums.add(
    [counted],
    [
      { packets: 1n, bytes: 2n },
      { packets: 5n, bytes: 5n },
    ],
  );
  expect(sums.values()).toEqual([{ ...counted.counts, packets: 1n, bytes: 2n }]);
});
