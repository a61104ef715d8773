/** Updates of sets and rules: by hints alone, under traffic, when they fail, and when the next agent takes over. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, expect, it } from 'vitest';
import type { OpenOptions } from '../../../src/dataplane/ipset/open.ts';
import { policy } from '../../support/cases/case.ts';
import { cast } from '../../support/cases/cast.ts';
import type { ClusterObject } from '../../support/oracle/objects.ts';
import type { Question } from '../../support/oracle/oracle.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { pairOfWorlds } from '../../support/worlds/pair-of-worlds.ts';
import { questionsOf } from '../../support/worlds/questions.ts';
import { objectsOf, type World } from '../../support/worlds/world.ts';
import { EnforcedNode } from './support/enforced-node.ts';

const web = { matchLabels: { app: 'web' } };
const api = { matchLabels: { app: 'api' } };

function directions({ out, into }: { out: boolean; into: boolean }): ClusterObject[] {
  return [
    ...cast,
    policy('shop/web', {
      podSelector: web,
      policyTypes: ['Egress'],
      egress: out ? [{ to: [{ podSelector: api }] }] : [],
    }),
    policy('shop/api', { podSelector: api, ingress: into ? [{ from: [{ podSelector: web }] }] : [] }),
  ];
}

function labelled(role: string, admitted: string): ClusterObject[] {
  const objects = cast.map((object) =>
    object.kind === 'Pod' && object.metadata.name === 'web' && object.metadata.namespace === 'shop'
      ? { ...object, metadata: { ...object.metadata, labels: { role } } }
      : object,
  );
  const ingress = [{ from: [{ podSelector: { matchLabels: { role: admitted } } }] }];
  return [...objects, policy('shop/api', { podSelector: api, ingress })];
}

function excepting(except: readonly string[]): ClusterObject[] {
  const blocks = [{ ipBlock: { cidr: '10.244.0.0/16', except } }, { ipBlock: { cidr: 'fd00:10:244::/48' } }];
  return [...cast, policy('shop/api', { podSelector: api, ingress: [{ from: blocks }] })];
}

/** Two states that give the same verdict, which no mixture of them gives. */
const PAIRS = [
  {
    name: 'egress tightens while ingress opens',
    states: [directions({ out: true, into: false }), directions({ out: false, into: true })],
    passes: false,
  },
  {
    name: 'a label and the rule that asks for it change together',
    states: [labelled('red', 'red'), labelled('blue', 'blue')],
    passes: true,
  },
  {
    name: 'a label moves away from a rule that moves after it',
    states: [labelled('red', 'blue'), labelled('blue', 'red')],
    passes: false,
  },
  {
    name: 'an except shrinks and grows around an address that it never holds',
    states: [excepting(['10.244.0.128/25']), excepting(['10.244.0.12/30', '10.244.0.0/29'])],
    passes: true,
  },
] as const;

const QUESTIONS: readonly Question[] = [
  { from: 'shop/web', to: 'shop/api', family: 'IPv4', protocol: 'TCP', port: 8081 },
  { from: 'shop/web', to: 'shop/api', family: 'IPv6', protocol: 'UDP', port: 53 },
];
const UPDATES = 8;

for (const variant of ['nft', 'legacy'] as const) {
  describeAsRoot(`ipset and iptables-${variant}`, () => {
    let node: EnforcedNode | undefined;
    let broken: BreakableProgram | undefined;

    afterEach(() => {
      broken?.remove();
      broken = undefined;
      node?.close();
      node = undefined;
    });

    async function open(more: OpenOptions = {}): Promise<EnforcedNode> {
      node = await EnforcedNode.open('updates', { variant, ...more });
      return node;
    }

    it('follow hints alone through random changes, and hold nothing else', async () => {
      const node = await open();
      for (const { before, after } of fc.sample(pairOfWorlds, { numRuns: 6, seed: 42 })) {
        for (const world of [before, after, before]) {
          await node.apply(objectsOf(world));
          expect(wrongVerdicts(node, world)).toEqual([]);
          expect(await node.dataplane.damages()).toEqual([]);
        }
      }
    });

    for (const { name, states, passes } of PAIRS) {
      it(`judge by whole states only: ${name}`, async () => {
        const node = await open();
        await node.apply(states[0]);
        const traffic = new Traffic(node, passes);
        for (let update = 1; update <= UPDATES; update++) {
          await traffic.during(node.apply(states[update % 2] as ClusterObject[]));
        }
        expect(traffic.wrong).toBe(0);
        expect(traffic.asked).toBeGreaterThan(UPDATES * 4);
      });
    }

    it('tell the next agent whose interface is whose, and a first one that there is nothing', async () => {
      const node = await open();
      expect(node.dataplane.inForce()).toBeUndefined();
      await node.apply(PAIRS[0].states[0]);
      await node.restart();
      expect(node.dataplane.inForce()).toEqual(
        new Map([
          [node.packets.seatOf('shop/web' as never), ['10.244.0.11', 'fd00:10:244::11']],
          [node.packets.seatOf('shop/api' as never), ['10.244.0.12', 'fd00:10:244::12']],
          [node.packets.seatOf('audit/web' as never), ['10.244.0.15', 'fd00:10:244::15']],
        ]),
      );
    });

    it('let nothing through and lose nothing when the next agent takes over', async () => {
      const node = await open();
      const [first, second] = PAIRS[0].states;
      await node.apply(first);
      const denied = new Traffic(node, false);
      await denied.during(node.restart().then(() => node.apply(second)));
      await denied.during(node.apply(first));
      expect(denied.wrong).toBe(0);

      const [red, blue] = PAIRS[1].states;
      await node.apply(red);
      const admitted = new Traffic(node, true);
      await admitted.during(node.restart().then(() => node.apply(blue)));
      expect(admitted.wrong).toBe(0);
      expect(await node.dataplane.damages()).toEqual([]);
    });

    for (const program of [`iptables-${variant}-restore`, `ip6tables-${variant}-restore`, 'ipset', 'nft']) {
      it(`leave the state before whole when ${program} fails, and come through later`, async () => {
        broken = new BreakableProgram(program);
        const node = await open({ paths: { [program]: broken.path } });
        await node.apply(directions({ out: true, into: true }));
        broken.break();
        // A pod more, so that every program has something to do.
        const next = [...directions({ out: true, into: false }), ...more];
        const traffic = new Traffic(node, true);
        await traffic.during(expect(node.apply(next)).rejects.toThrow('exited with 3'));
        expect(traffic.wrong).toBe(0);
        broken.mend();
        await node.apply(next);
        expect(QUESTIONS.map((question) => node.passes(question))).toEqual([false, false]);
        expect(await node.dataplane.damages()).toEqual([]);
      });
    }

    it('cost what changed: a pod that joins known sets needs no rule', async () => {
      const node = await open();
      const base = directions({ out: true, into: true });
      for (let times = 0; times < 2; times++) await node.apply(base);
      const { writes } = await node.apply([...base, remotePod('10.244.1.99')]);
      // One member of one set, and the flips of both families.
      expect(writes).toBe(3);
    });
  });
}

/** On this node, so that its interface is guarded. */
const more: ClusterObject[] = [
  {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'late', namespace: 'shop', labels: { app: 'web' } },
    spec: { nodeName: 'node1', containers: [{ name: 'main', image: 'example.org/app', ports: [] }] },
    status: { phase: 'Running', podIPs: [{ ip: '10.244.0.77' }] },
  },
];

function remotePod(ip: string): ClusterObject {
  const [late] = more as [Extract<ClusterObject, { kind: 'Pod' }>];
  return { ...late, spec: { ...late.spec, nodeName: 'node2' }, status: { phase: 'Running', podIPs: [{ ip }] } };
}

/** Asks over and over whether new connections pass, while something goes on. */
class Traffic {
  asked = 0;
  wrong = 0;
  readonly #node: EnforcedNode;
  readonly #passes: boolean;

  constructor(node: EnforcedNode, passes: boolean) {
    this.#node = node;
    this.#passes = passes;
  }

  async during(work: Promise<unknown>): Promise<void> {
    let done = false;
    const end = work.finally(() => {
      done = true;
    });
    end.catch(() => {});
    do {
      for (const question of QUESTIONS) {
        this.asked++;
        if (this.#node.passes(question) !== this.#passes) this.wrong++;
      }
      await new Promise((resolve) => setImmediate(resolve));
    } while (!done);
    await end;
  }
}

/** Of packets between different ports. */
function wrongVerdicts(node: EnforcedNode, world: World): string[] {
  return questionsOf(world, { atMost: 300 })
    .filter((question) => {
      const { from, to } = node.journey(question);
      return from !== to && node.passes(question) !== node.admits(question);
    })
    .map((question) => JSON.stringify(question));
}

/** In place of a program: the program, or a failure. */
class BreakableProgram {
  readonly path: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'selvedge-test-'));

  constructor(program: string) {
    this.path = join(this.#folder, program);
    writeFileSync(this.path, `#!/bin/sh\n[ -e "$0.broken" ] && exit 3\nexec ${program} "$@"\n`);
    chmodSync(this.path, 0o755);
  }

  break(): void {
    writeFileSync(`${this.path}.broken`, '');
  }

  mend(): void {
    rmSync(`${this.path}.broken`);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
