/** Rulesets with many rules, in the kernel: each edge of a port range is judged as the oracle says, on both variants. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { policy } from '../../support/cases/case.ts';
import { cast } from '../../support/cases/cast.ts';
import { ipFrame, udpHeader } from '../../support/kernel/packets.ts';
import type { NetworkPolicy } from '../../support/oracle/objects.ts';
import { oracleFor, type Question } from '../../support/oracle/oracle.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { EnforcedNode } from './support/enforced-node.ts';

type Protocol = 'TCP' | 'UDP' | 'SCTP';

interface Port {
  readonly protocol: Protocol;
  readonly port: number;
  readonly endPort?: number;
}

const WEB = { podSelector: { matchLabels: { app: 'web' } } };
const DB = { podSelector: { matchLabels: { app: 'db' } } };
const SCAN = { namespaceSelector: { matchLabels: { team: 'audit' } }, podSelector: { matchLabels: { app: 'scan' } } };

function ports(protocol: Protocol, from: number, to = from): Port {
  return { protocol, port: from, ...(to > from && { endPort: to }) };
}

function admits(name: string, peer: typeof WEB, ...own: readonly Port[]): NetworkPolicy {
  const api = { matchLabels: { app: 'api' } };
  return policy(`shop/${name}`, {
    podSelector: api,
    ingress: [{ from: [peer], ...(own.length > 0 && { ports: own }) }],
  });
}

const COUNTS = Array.from({ length: 20 }, (_, index) => index);

/** More than 16 in all: in the first 4,096 ports, in 256 of them, in 16, and at one port. */
const policies: readonly NetworkPolicy[] = [
  ...COUNTS.map((n) => admits(`apart-${n}`, WEB, ports('TCP', 1 + 3271 * n, 1 + 3271 * n + 40 * n))),
  ...COUNTS.map((n) => admits(`near-${n}`, WEB, ports('TCP', 5120 + 11 * n, 5122 + 11 * n))),
  ...COUNTS.map((n) => admits(`dense-${n}`, n % 2 === 0 ? WEB : DB, ports('TCP', 9216 + (n % 16)))),
  ...COUNTS.map((n) => admits(`one-${n}`, DB, ports('TCP', 9219), ports('UDP', 60_000 + n, 65_535 - n))),
  ...COUNTS.map((n) => admits(`udp-${n}`, WEB, ports('UDP', 4090 + n), ports('UDP', 250 * n + 1, 250 * n + 17))),
  ...COUNTS.map((n) => admits(`sctp-${n}`, DB, ports('SCTP', 255 + 256 * n, 257 + 256 * n))),
  admits('all-of-sctp', SCAN, ports('SCTP', 1, 65_535)),
  admits('everything', SCAN),
  admits('several', WEB, ports('TCP', 22), ports('SCTP', 22), ports('TCP', 40_000, 50_000), ports('UDP', 1, 65_535)),
];

/** Either side of each edge. */
function edges(protocol: Protocol): readonly number[] {
  const own = policies.flatMap(({ spec }) => spec?.ingress ?? []).flatMap((rule) => rule.ports ?? []);
  const found = own
    .filter((one) => one.protocol === protocol)
    .flatMap(({ port, endPort = port }) => [Number(port) - 1, Number(port), Number(endPort), Number(endPort) + 1]);
  const parts = [4095, 4096, 5119, 5120, 5375, 5376, 8191, 8192, 9215, 9216, 9231, 9232, 65_535];
  return [...new Set([...found, ...parts])].filter((port) => port > 0 && port <= 65_535);
}

const questions: readonly Question[] = (['TCP', 'UDP', 'SCTP'] as const).flatMap((protocol) =>
  edges(protocol).flatMap((port) =>
    ['shop/web', 'shop/db', 'audit/web', 'audit/scan'].flatMap((from): Question[] => [
      { from, to: 'shop/api', family: 'IPv4', protocol, port },
      ...(from === 'shop/web' ? [{ from, to: 'shop/api', family: 'IPv6', protocol, port } as const] : []),
    ]),
  ),
);

for (const variant of ['nft', 'legacy'] as const) {
  describeAsRoot(`a ruleset of many rules on iptables-${variant}`, () => {
    let node: EnforcedNode;

    beforeAll(async () => {
      node = await EnforcedNode.open('ports', { variant });
    });

    afterAll(() => node?.close());

    const wrong = (objects: readonly NetworkPolicy[]) => {
      const oracle = oracleFor([...cast, ...objects]);
      return questions.flatMap((question) => {
        const answer = oracle.judge(question);
        if (answer === 'no-address') throw new Error(`nothing to judge: ${JSON.stringify(question)}`);
        const { allowed } = answer;
        return node.passes(question) === allowed ? [] : [`${JSON.stringify(question)}: ${!allowed}`];
      });
    };

    it('judges both sides of every edge as the oracle does', async () => {
      await node.apply([...cast, ...policies]);
      const chains = node.packets.command(`iptables-${variant}`, '-t', 'mangle', '-S');
      // A part of 16 ports has chains of single ones: the tree is as deep as it gets.
      expect(chains).toMatch(/ --dport 9219 -g SELVEDGE-/);
      expect(wrong(policies)).toEqual([]);
      const { differences, compared } = await node.dataplane.verify();
      expect(differences).toEqual([]);
      expect(compared).toBeGreaterThan(400);
    });

    it('judges so after one policy came and others went, with what others have in common left as it is', async () => {
      const fewer = policies.filter((_, index) => index % 7 !== 3);
      await node.apply([...cast, ...fewer]);
      const more = [...fewer, admits('late', WEB, ports('TCP', 30_001))];
      // What the other side had to follow it has followed.
      await node.dataplane.ready();
      const { writes } = await node.apply([...cast, ...more]);
      expect(writes).toBeLessThan(250);
      expect(wrong(more)).toEqual([]);
      expect((await node.dataplane.verify()).differences).toEqual([]);
      expect(await node.dataplane.damages()).toEqual([]);
    });

    it('lets replies pass for as long as the request is admitted', async () => {
      await node.apply([...cast, ...policies]);
      const [web, api] = [node.packets.seatOf('shop/web' as never), node.packets.seatOf('shop/api' as never)];
      const [source, destination] = ['10.244.0.11', '10.244.0.12'] as never[] as [never, never];
      const admitted = ipFrame(source, destination, 17, udpHeader(33_333, 4095));
      const reply = ipFrame(destination, source, 17, udpHeader(4095, 33_333));
      expect(node.packets.passes(admitted, web, api)).toBe(true);
      expect(node.packets.passes(reply, api, web)).toBe(true);
      const without = policies.filter(({ metadata }) => metadata.name !== 'udp-5' && metadata.name !== 'several');
      await node.apply([...cast, ...without]);
      expect(node.packets.passes(reply, api, web)).toBe(false);
      expect(node.packets.passes(admitted, web, api)).toBe(false);
    });
  });
}
