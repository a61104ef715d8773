/** Promise 3 under traffic: kill -9, restart, upgrade within a layout (to another one: other-layouts.test.ts); and an end without a trace. */
import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BpfMap, BpfProgram, listTc, netns } from '../../src/native.ts';
import { eventually } from '../support/eventually.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { FedNode } from './support/fed-node.ts';
import { type NodeAgent, selvedge } from './support/node-agent.ts';
import { OtherObjects } from './support/other-objects.ts';
import { Traffic } from './support/traffic.ts';

const restarts = Number(process.env.SELVEDGE_AGENT_RESTARTS ?? 3);

describeAsRoot('an agent under traffic', () => {
  let fed: FedNode;
  let agent: NodeAgent;
  let traffic: Traffic | undefined;
  const objects = new OtherObjects();

  beforeAll(async () => {
    fed = await FedNode.start();
    fed.admit('api', 'web');
    // Replies to web pass by its connections alone.
    fed.admit('web');
    for (const [place, name] of PODS.entries()) fed.start(name, `10.66.0.${place + 10}`);
    agent = fed.agent();
    await agent.enforced(...PODS);
    for (const name of PODS) await fed.node.whenUp(name);
  });

  afterEach(() => traffic?.close());

  afterAll(async () => {
    await fed?.[Symbol.asyncDispose]();
    objects[Symbol.dispose]();
  });

  const PODS = ['web', 'api', 'db'];
  const begin = async (connected: readonly string[]) => {
    traffic = await Traffic.start({
      node: fed.node,
      admitted: ['web api', 'web db', 'api db'],
      denied: ['db api', 'db web', 'api web'],
      connected,
    });
    return traffic;
  };

  /** The next agent is ready, and the traffic has met what it did last. */
  const taken = async (running: Traffic) => {
    await agent.ready();
    const { rounds } = running;
    await eventually(() => expect(running.rounds).toBeGreaterThan(rounds + 20));
  };

  const programs = () => {
    const { ifindex } = fed.node.pod('api');
    return netns.run(fed.node.namespace, () =>
      (['ingress', 'egress'] as const).flatMap((direction) =>
        listTc(ifindex, direction).map(({ programId }) => {
          using program = BpfProgram.fromId(programId);
          return program.info;
        }),
      ),
    );
  };

  it('is killed and started again and again, also while it starts', {
    timeout: 120_000 + restarts * 10_000,
  }, async () => {
    const running = await begin(['web api', 'web db']);
    for (let turn = 0; turn < restarts; turn++) {
      await agent.end('SIGKILL');
      agent = fed.agent();
      // Every other one does not live long: until it has opened its maps, or a bit longer.
      if (turn % 2 === 1) {
        await agent.until(({ event }) => event === 'dataplane');
        await new Promise((resolve) => setTimeout(resolve, turn * 3));
        await agent.end('SIGKILL');
        agent = fed.agent();
      }
      await taken(running);
    }
    const { rounds, messages, wrong } = await running.end();
    console.log(`${restarts} restarts: ${rounds} rounds, ${messages} messages`);
    expect(wrong).toEqual([]);
    // What an agent takes over it does not write again.
    const applied = agent.said.filter(({ event }) => event === 'applied');
    expect(applied.map(({ writes }) => writes)).toEqual([0]);
  });

  it('is upgraded: other programs on the same maps', async () => {
    const before = programs();
    const object = await objects.compile('same-layout', [
      {
        file: 'policy.bpf.c',
        from: /return from_pod_frame\(skb\);/,
        to: 'bpf_get_prandom_u32(); return from_pod_frame(skb);',
      },
      {
        file: 'policy.bpf.c',
        from: /return to_pod_frame\(skb\);/,
        to: 'bpf_get_prandom_u32(); return to_pod_frame(skb);',
      },
    ]);
    const running = await begin(['web api', 'web db']);
    await agent.end('SIGTERM');
    agent = fed.agent({ object });
    await taken(running);
    const { rounds, messages, wrong } = await running.end();
    console.log(`upgrade: ${rounds} rounds, ${messages} messages`);
    expect(wrong).toEqual([]);
    const after = programs();
    expect(after.map(({ name }) => name)).toEqual(['from_pod', 'to_pod']);
    for (const [place, { tag, mapIds }] of after.entries()) {
      expect(tag).not.toBe(before[place]?.tag);
      // But for the section of constants, which every program has for itself.
      expect(mapIds.filter((id) => before[place]?.mapIds.includes(id)).length).toBeGreaterThan(mapIds.length - 3);
    }
  });

  describe('on its node', () => {
    it('is the only one: a second is refused, and cleanup too', async () => {
      const second = fed.agent();
      expect(await second.ended()).toBe('exited with 1');
      expect(second.words).toContain(`another agent is running on ${fed.pins.path}; stop it first`);
      await expect(selvedge(fed.node.namespace, 'cleanup', '--pin-dir', fed.pins.path)).rejects.toThrow(
        'another agent',
      );
      expect(agent.running).toBe(true);
    });

    it('tells another version what it would write, and nothing is written', async () => {
      const dry = (...args: string[]) => selvedge(fed.node.namespace, 'agent', ...fed.where, '--dry-run', ...args);
      const known = programs().map(({ id }) => id);
      expect(await dry()).toMatch(/^in force: state \d+\nswap programs: vweb/);
      fed.admit('db', 'api');
      const { generation } = await agent.until(({ event }) => event === 'applied', agent.said.length);
      await agent.end('SIGTERM');
      fed.server.delete('NetworkPolicy', 'shop/db');
      fed.admit('web', 'db');
      const text = await dry();
      expect(text).toContain(`in force: state ${generation}\n`);
      expect(text).toMatch(/interface vdb \(\d+\): enforced for shop\/db\n/);
      expect(text).toMatch(/rows of shop\/web \(ingress\): 1 to set, 0 to delete\n/);
      expect(text).toMatch(/rows of policies that are gone: 0 to set, 1 to delete\n/);
      expect(text).toMatch(/map policy: 1 to set, 1 to delete\n/);
      expect(programs().map(({ id }) => id)).toEqual(known);
      expect(fed.node.reaches('api', 'db')).toBe(true);
      expect(fed.node.reaches('web', 'db')).toBe(false);
    });

    it('leaves enforcement behind when it ends, and cleanup leaves nothing', async () => {
      const all = programs();
      const ids = new Set(all.flatMap(({ mapIds }) => mapIds));
      expect(ids.size).toBeGreaterThan(10);
      const output = await selvedge(fed.node.namespace, 'cleanup', '--pin-dir', fed.pins.path);
      expect(output).toContain(fed.pins.path);
      expect(existsSync(fed.pins.path)).toBe(false);
      expect(programs()).toEqual([]);
      await eventually(() => {
        expect(all.filter(({ id }) => exists(() => BpfProgram.fromId(id)))).toEqual([]);
        expect([...ids].filter((id) => exists(() => BpfMap.fromId(id)))).toEqual([]);
      });
      expect(['api', 'web'].map((name) => fed.node.reaches('db', name))).toEqual([true, true]);
      expect(await selvedge(fed.node.namespace, 'cleanup', '--pin-dir', fed.pins.path)).toContain('nothing');
    });
  });
});

function exists(open: () => Disposable): boolean {
  try {
    using _handle = open();
    return true;
  } catch {
    return false;
  }
}
