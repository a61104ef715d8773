/** Upgrades to another layout of maps, and back, under traffic that no policy admits: by the connections that are known alone. */
import { readdirSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { BpfProgram, listTc, netns } from '../../src/native.ts';
import { eventually } from '../support/eventually.ts';
import { openStream } from '../support/kernel/stream.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { FedNode } from './support/fed-node.ts';
import type { NodeAgent } from './support/node-agent.ts';
import { type Change, OtherObjects } from './support/other-objects.ts';
import { Traffic } from './support/traffic.ts';

/** Two fields of a record have changed places. */
const OTHER_ORDER: readonly Change[] = [
  { file: 'abi.h', from: /__u32 ingress_ruleset;/, to: '__u32 egress_ruleset;' },
  {
    file: 'abi.h',
    from: /__u32 egress_ruleset;\n {2}__u32 egress_ruleset;/,
    to: '__u32 egress_ruleset;\n  __u32 ingress_ruleset;',
  },
];
const OTHER_FORM: Change = { file: 'abi.h', from: /FLOW_FORM = \d+/, to: 'FLOW_FORM = 999' };

const PODS = ['web', 'api', 'db'];

describeAsRoot('an agent with another layout of maps', () => {
  let fed: FedNode;
  let agent: NodeAgent;
  let traffic: Traffic | undefined;
  const objects = new OtherObjects();
  /** Of another layout. */
  let object: string;

  beforeAll(async () => {
    object = await objects.compile('other-order', OTHER_ORDER);
    fed = await FedNode.start();
    fed.admit('api', 'web');
    // Replies to web and to db pass by their connections alone: conntrack tracks nothing here.
    for (const name of ['web', 'db']) fed.admit(name);
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

  const begin = async () => {
    traffic = await Traffic.start({
      node: fed.node,
      admitted: ['web api'],
      denied: ['db api', 'db web', 'api web', 'api db', 'web db'],
      connected: ['web api'],
    });
    return traffic;
  };

  const folders = () => readdirSync(fed.pins.path).filter((name) => name.startsWith('maps-'));
  /** What the agent has said of tables when it opened its maps. */
  const saidOfTables = () => String(agent.said.find(({ event }) => event === 'dataplane')?.reason);
  const mapIds = () =>
    netns.run(fed.node.namespace, () =>
      listTc(fed.node.pod('api').ifindex, 'egress').flatMap(({ programId }) => {
        using program = BpfProgram.fromId(programId);
        return program.info.mapIds;
      }),
    );

  /** The next agent is ready, the maps of the one before are gone, and the traffic has met what it did last. */
  const taken = async (running: Traffic, old: string | undefined) => {
    await agent.ready();
    await eventually(() => {
      expect(folders()).toHaveLength(1);
      expect(folders()).not.toEqual([old]);
    });
    const { rounds } = running;
    await eventually(() => expect(running.rounds).toBeGreaterThan(rounds + 20));
  };

  it('fills new maps, takes the connections along, and goes back: nothing is lost, nothing let through', async () => {
    const before = mapIds();
    const running = await begin();
    for (const [signal, next] of [
      // As in the chart's container.
      ['SIGTERM', { object, without: ['sys_admin'] }],
      ['SIGKILL', { without: ['sys_admin'] }],
    ] as const) {
      const [old] = folders();
      await agent.end(signal);
      agent = fed.agent(next);
      await taken(running, old);
      expect(saidOfTables()).toContain('tables of connections come along');
    }
    const { rounds, messages, wrong } = await running.end();
    console.log(`other layouts: ${rounds} rounds, ${messages} messages`);
    expect(wrong).toEqual([]);
    expect(mapIds().filter((id) => before.includes(id))).toEqual([]);
  });

  it('is killed while it takes over, again and again, and either version comes next: nothing is lost', async () => {
    const running = await begin();
    const [old] = folders();
    await agent.end('SIGKILL');
    // Until it has opened its maps, or a bit longer.
    for (const [turn, next] of [{ object }, {}, { object }, { object }, {}].entries()) {
      agent = fed.agent(next);
      await agent.until(({ event }) => event === 'dataplane');
      await new Promise((resolve) => setTimeout(resolve, turn * 20));
      await agent.end('SIGKILL');
    }
    agent = fed.agent({ object });
    await taken(running, old);
    const { rounds, wrong } = await running.end();
    console.log(`killed between layouts: ${rounds} rounds`);
    expect(wrong).toEqual([]);
  });

  it('ends a connection that comes along and is no longer admitted, and no other', async () => {
    fed.admit('api', 'web', 'db');
    await eventually(() => expect(fed.node.reaches('db', 'api')).toBe(true));
    const [kept, withdrawn] = await Promise.all(
      ['web', 'db'].map((name, place) => {
        const ends = { from: fed.node.pod(name), to: fed.node.pod('api') };
        return openStream({ ...ends, protocol: 'UDP', port: 9100 + place, direction: 'down' });
      }),
    );
    try {
      const [old] = folders();
      await agent.end('SIGKILL');
      fed.admit('api', 'web');
      withdrawn?.send();
      await withdrawn?.arrived(2);
      agent = fed.agent();
      await agent.ready();
      await eventually(() => expect(folders()).not.toContain(old));
      withdrawn?.send();
      kept?.send();
      await kept?.arrived(2);
      // What was sent before that would have come before it.
      expect(fed.node.reaches('web', 'api')).toBe(true);
      expect(withdrawn?.received).toBe(2);
    } finally {
      for (const stream of [kept, withdrawn]) stream?.close();
    }
  });

  it('leaves tables of another form behind, and says so: connections go on by what conntrack knows', async () => {
    const otherForm = await objects.compile('other-form', [OTHER_FORM]);
    fed.node.track();
    const running = await begin();
    const [old] = folders();
    await agent.end('SIGTERM');
    agent = fed.agent({ object: otherForm });
    await taken(running, old);
    expect(saidOfTables()).toContain('tables of connections have another form and stay behind');
    expect((await running.end()).wrong).toEqual([]);
  });
});
