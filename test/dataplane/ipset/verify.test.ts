/** What somebody else writes into our rules and sets is found and named, also where their numbers stay as they were. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { policy } from '../../support/cases/case.ts';
import { cast } from '../../support/cases/cast.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { EnforcedNode } from './support/enforced-node.ts';

const EVERYBODY = { podSelector: {} };
const objects = [
  ...cast,
  policy('shop/all', {
    ...EVERYBODY,
    policyTypes: ['Ingress', 'Egress'],
    ingress: [
      {
        from: [
          EVERYBODY,
          { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } },
          { ipBlock: { cidr: '192.0.2.1/32' } },
          { ipBlock: { cidr: 'fd00::/16', except: ['fd00:1::/32'] } },
          { ipBlock: { cidr: '2001:db8::/32' } },
        ],
        ports: [
          { port: 80 },
          { port: 1000, endPort: 2000 },
          { protocol: 'UDP', port: 53 },
          { protocol: 'SCTP', port: 9 },
        ],
      },
      { ports: [{ protocol: 'TCP' }, { protocol: 'UDP' }] },
    ],
    egress: [{}],
  }),
];

for (const variant of ['nft', 'legacy'] as const) {
  describeAsRoot(`the rules and sets of iptables-${variant}`, () => {
    let node: EnforcedNode;

    beforeEach(async () => {
      node = await EnforcedNode.open('verify', { variant, nflogGroup: 7 });
      await node.apply(objects);
    });

    afterEach(() => node?.close());

    const run = (line: string) => {
      const [name = '', ...args] = line.match(/"[^"]*"|\S+/g) ?? [];
      return node.packets.command(name, ...args.map((text) => text.replaceAll('"', '')));
    };
    const differences = async () => (await node.dataplane.verify()).differences;

    /** The first rule of ours that has the text, and its place in its chain. */
    const find = (text: string): { chain: string; place: number; rule: string } => {
      const rules = run(`iptables-${variant}-save -t mangle`)
        .split('\n')
        .filter((line) => line.startsWith('-A'));
      const rule = rules.find((line) => line.includes(text)) ?? '';
      const [, chain = ''] = rule.split(' ');
      return { chain, place: rules.filter((line) => line.startsWith(`-A ${chain} `)).indexOf(rule) + 1, rule };
    };
    const sideInForce = () => (run('ipset list -terse selvedge-right4').includes('entries: 2') ? 'R' : 'L');

    it('agree with the state, after each update', async () => {
      for (const state of [cast, objects, [...cast, policy('shop/one', EVERYBODY)], objects]) {
        await node.apply(state);
        expect(await differences()).toEqual([]);
      }
      expect((await node.dataplane.verify()).compared).toBeGreaterThan(100);
      await node.restart();
      await node.apply(objects);
      expect(await differences()).toEqual([]);
    });

    it('are compared with the state that was applied, not with what was written before', async () => {
      const set = `selvedge-${sideInForce()}4-ingress`;
      run(`ipset del ${set} 10.244.0.11`);
      run(`ipset add ${set} 10.244.0.99 skbmark 0x10000/0x7fff0000`);
      const place = `IPv4 set ${set}`;
      expect(await differences()).toEqual([
        { place, key: '10.244.0.11', wanted: expect.stringContaining('skbmark') },
        { place, key: '10.244.0.99', found: 'skbmark 0x10000/0x7fff0000' },
      ]);
    });

    it('tell of a rule that admits something else, by the policy that it is of', async () => {
      const { chain, place } = find('--dports 80,1000:2000');
      run(`iptables-${variant} -t mangle -R ${chain} ${place} -p tcp -m multiport --dports 80,1000:2001 -j RETURN`);
      const [difference, ...others] = await differences();
      expect(others).toEqual([]);
      expect(difference).toMatchObject({
        place: `IPv4 chain ${chain}: shop/all (ingress)`,
        key: `rule ${place}`,
        wanted: expect.stringContaining('80,1000:2000'),
        found: expect.stringContaining('80,1000:2001'),
      });
    });

    it('tell of a member that a selector does not select, and of one that is missing', async () => {
      const [, set = ''] = /--match-set (selvedge-\S+)/.exec(find('--dport 53').rule) ?? [];
      run(`ipset add ${set} 203.0.113.9`);
      const [difference] = await differences();
      expect(difference).toMatchObject({ key: '203.0.113.9', found: 'member' });
      expect(difference?.place).toMatch(new RegExp(`^IPv4 set ${set}: (pods|ipBlock) `));
      run(`ipset del ${set} 203.0.113.9`);
      expect(await differences()).toEqual([]);
    });

    it('tell of a jump, a chain and a whole table that went', async () => {
      run(`iptables-${variant} -t mangle -D FORWARD -j SELVEDGE-FORWARD`);
      expect(await differences()).toEqual([
        { place: 'IPv4 chain FORWARD', key: 'jump', wanted: '-j SELVEDGE-FORWARD' },
      ]);
      run(`iptables-${variant} -t mangle -F`);
      expect((await differences()).length).toBeGreaterThan(10);
      run('nft delete table bridge selvedge');
      const places = new Set((await differences()).map(({ place }) => place));
      expect(places).toContain("nftables' table bridge selvedge");
    });

    it('tell of an address that an interface may not send from, and of rules that went', async () => {
      run('nft add element bridge selvedge owned4 { "seat100" . 203.0.113.7 }');
      run('nft flush chain bridge selvedge source');
      expect(await differences()).toEqual([
        {
          place: "nftables' table bridge selvedge",
          key: 'rules',
          wanted: expect.any(String),
          found: expect.any(String),
        },
        {
          place: "nftables' table bridge selvedge",
          key: 'bridge owned4 "seat100" . 203.0.113.7',
          found: 'member',
        },
      ]);
    });

    it('tell of the other side being in force', async () => {
      run('ipset swap selvedge-right4 selvedge-spare4');
      const found = await differences();
      expect(found.map(({ key }) => key)).toEqual(['which side is in force', 'which side is in force']);
      expect(found[0]?.place).toBe('IPv4 set selvedge-right4');
    });
  });
}
