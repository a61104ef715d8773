/** Pods come and go on a node whose agent is a process, fed by an API server. */
import { rmSync, unlinkSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { listTc, netns } from '../../src/native.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { FedNode } from './support/fed-node.ts';
import type { NodeAgent, Said } from './support/node-agent.ts';

// One node for all: each test leaves web, api and db as it found them, web alone admitted to api.
describeAsRoot('on a node with an agent', () => {
  let fed: FedNode;
  let agent: NodeAgent;

  beforeAll(async () => {
    fed = await FedNode.start();
    fed.admit('api', 'web');
    for (const [place, name] of ['web', 'api', 'db'].entries()) fed.start(name, `10.66.0.${place + 10}`);
    agent = fed.agent();
    await up('web', 'api', 'db');
  });

  afterAll(async () => {
    await fed?.[Symbol.asyncDispose]();
  });

  async function up(...pods: readonly string[]): Promise<void> {
    await agent.enforced(...pods);
    for (const pod of pods) await fed.node.whenUp(pod);
  }

  const reached = (...pairs: readonly string[]) => {
    return pairs.map((pair) => fed.node.reaches(...(pair.split(' ') as [string, string])));
  };

  const about = (event: string, index: number) => (said: Said) => said.event === event && said.ifindex === index;

  /** The agent sees all of it at once, and puts nothing into a folder that is being removed. */
  const unseen = (work: () => void) => {
    agent.kill('SIGSTOP');
    work();
    agent.kill('SIGCONT');
  };

  const programsOn = (ifindex: number) => {
    const count = () => listTc(ifindex, 'ingress').length + listTc(ifindex, 'egress').length;
    return netns.run(fed.node.namespace, count);
  };

  it('a new pod is guarded at its veth’s event and enforced at its record’s', async () => {
    expect(reached('web api', 'db api', 'api db')).toEqual([true, false, true]);
    fed.record('late', undefined, { app: 'db' });
    const before = performance.now();
    const { ifindex } = fed.node.addPod('late', '10.66.0.20');
    const guarded = await agent.until(about('guarded', ifindex));
    fed.record('late', '10.66.0.20', { app: 'db' });
    const enforced = await agent.until(({ msg }) => msg === 'enforced for shop/late');
    await fed.node.whenUp('late');
    expect(reached('late api', 'late db')).toEqual([false, true]);
    expect(guarded).toMatchObject({ milliseconds: expect.any(Number) });
    expect(enforced).toMatchObject({ sinceRecord: expect.any(Number), sinceInterface: expect.any(Number) });
    console.log(
      `guarded ${guarded.milliseconds} ms after its event (and ${(guarded.at - before).toFixed(1)} ms after ip was run),`,
      `enforced ${enforced.sinceRecord} ms after its record`,
    );

    // Gone, and there again under the same name with another address.
    fed.stop('late');
    const said = agent.said.length;
    fed.start('late', '10.66.0.21');
    await agent.until(({ msg }) => msg === 'enforced for shop/late', said);
    await fed.node.whenUp('late');
    expect(reached('late api', 'web late')).toEqual([false, true]);
    fed.stop('late');
  });

  it('an address goes from one pod to another at once', async () => {
    fed.start('first', '10.66.0.25');
    await up('first');
    expect(reached('first api')).toEqual([false]);
    // Of what is admitted to one that is not, and the other way round.
    fed.admit('api', 'web', 'heir');
    const { ifindex } = fed.node.pod('first');
    fed.stop('first');
    fed.start('heir', '10.66.0.25', { ifindex });
    await up('heir');
    expect(reached('heir api', 'heir db', 'db api')).toEqual([true, true, false]);
    fed.stop('heir');
    fed.start('last', '10.66.0.25');
    await up('last');
    expect(reached('last api', 'last db')).toEqual([false, true]);
    fed.stop('last');
    fed.admit('api', 'web');
  });

  it('an interface that comes back with the same index while nobody looks has its programs', async () => {
    agent.kill('SIGSTOP');
    const ifindex = fed.node.removePod('db');
    fed.node.addPod('db', '10.66.0.12', { ifindex });
    expect(programsOn(ifindex)).toBe(0);
    const said = agent.said.length;
    agent.kill('SIGCONT');
    await agent.until(about('guarded', ifindex), said);
    expect(programsOn(ifindex)).toBe(2);
    await agent.until(({ msg }) => msg === 'enforced for shop/db', said);
    await fed.node.whenUp('db');
    expect(reached('db api', 'web db')).toEqual([false, true]);
  });

  it('programs that somebody takes off come back, and that is told', async () => {
    const { ifindex } = fed.node.pod('db');
    const said = agent.said.length;
    unseen(() => {
      for (const program of ['from_pod', 'to_pod']) unlinkSync(`${fed.pins.path}/links/${program}_${ifindex}`);
    });
    const mended = (name: string) => (one: Said) => String(one.what) === `the programs of ${name}`;
    await agent.until(mended('vdb'), said);
    expect(programsOn(ifindex)).toBe(2);
    expect(reached('db api', 'web db')).toEqual([false, true]);

    unseen(() => rmSync(fed.pins.path, { recursive: true }));
    const all = ['vapi', 'vdb', 'vweb'].map((name) => agent.until(mended(name), agent.said.length));
    await Promise.all(all);
    expect(reached('db api', 'web db', 'web api')).toEqual([false, true, true]);
  });

  it('only the interface with the pod’s address is the pod’s; its others are nobody’s', async () => {
    fed.start('many', '10.66.0.40', { interfaces: ['net1'] });
    await up('many');
    expect(reached('many api', 'many db')).toEqual([false, true]);
    // The agent guards what is on a bridge, or has no network of its own.
    const second = fed.node.ifindexOf('vmanynet1');
    const { msg } = await agent.until(about('interface', second));
    expect(msg).toBe('closed: no pod of this node has its address');
    expect(programsOn(second)).toBe(2);
    fed.stop('many');
  });

  it('a record whose address has no interface yet, or no more, takes nothing from anybody', async () => {
    fed.record('early', '10.66.0.50', { app: 'web' });
    fed.node.addPod('early', '10.66.0.50');
    await up('early');
    expect(reached('early api', 'db api')).toEqual([true, false]);
    fed.node.removePod('early');
    fed.start('other', '10.66.0.51');
    await up('other');
    expect(reached('other api', 'web api', 'db api')).toEqual([false, true, false]);
    fed.server.delete('Pod', 'shop/early');
    fed.stop('other');
  });

  it('an agent that starts while the API server is away guards what came meanwhile, and keeps the rest', async () => {
    const vxlan = ['link add flannel.1 type vxlan id 1 local 10.66.0.1 dstport 8472', 'link set flannel.1 up'];
    fed.node.ip(vxlan);
    await agent.end('SIGKILL');
    await fed.server.pause();
    fed.node.ip(['link del flannel.1', ...vxlan]);
    const exit = fed.node.ifindexOf('flannel.1');
    fed.node.addPod('meanwhile', '10.66.0.60');
    const { ifindex } = fed.node.pod('meanwhile');

    agent = fed.agent();
    // That the server is away is found out after the interfaces were listed.
    await agent.until(({ object }) => object === 'API server URL' || String(object).startsWith('API server'));
    // Programs are attached in the background.
    await expect.poll(() => [programsOn(exit), programsOn(ifindex)]).toEqual([1, 2]);
    expect(fed.node.hears('meanwhile')).toBe(false);
    expect(reached('web api', 'db api', 'api db')).toEqual([true, false, true]);

    fed.record('meanwhile', '10.66.0.60', { app: 'web' });
    await fed.server.resume();
    await up('meanwhile');
    expect(reached('web api', 'meanwhile api', 'db api')).toEqual([true, true, false]);
    fed.stop('meanwhile');
  });

  it.each(['auto', 'closed', 'open'])('an unknown interface is %s as long as nobody says whose it is', async (mode) => {
    if (mode !== 'auto') {
      await agent.end('SIGTERM');
      agent = fed.agent({ args: ['--pending', mode] });
      await up('web', 'api', 'db');
    }
    const verdictOf = async (name: string) => {
      const { ifindex } = fed.node.pod(name);
      const { msg } = await agent.until(about('interface', ifindex));
      // No state waits for the programs of an interface that nobody knows.
      await agent.until(about('guarded', ifindex));
      return String(msg).split(':')[0];
    };
    fed.node.addPod('nobody', '10.66.0.30');
    expect(await verdictOf('nobody')).toBe(mode === 'open' ? 'open' : 'closed');
    if (mode === 'open') await fed.node.whenUp('nobody');
    else expect(fed.node.hears('nobody')).toBe(false);
    fed.node.removePod('nobody');

    // It may be one that is awaited, who is under no policy: `auto` lets it be. The other record says that this one is seen.
    fed.record('free');
    fed.start('marker', '10.66.0.99');
    await up('marker');
    fed.node.addPod('free', '10.66.0.31');
    expect(await verdictOf('free')).toBe(mode === 'closed' ? 'closed' : 'open');
    if (mode !== 'closed') await fed.node.whenUp('free');
    else expect(fed.node.hears('free')).toBe(false);
    fed.record('free', '10.66.0.31');
    await up('free');
    expect(reached('free db', 'free api')).toEqual([true, false]);
    fed.stop('free');

    // It may be one that is awaited and under a policy: `auto` closes it, though it is another.
    fed.record('kept', undefined, { app: 'api' });
    fed.record('loose');
    fed.start('second', '10.66.0.98');
    await up('second');
    fed.node.addPod('loose', '10.66.0.32');
    expect(await verdictOf('loose')).toBe(mode === 'open' ? 'open' : 'closed');
    fed.record('loose', '10.66.0.32');
    await up('loose');
    expect(reached('loose db', 'loose api')).toEqual([true, false]);
    fed.server.delete('Pod', 'shop/kept');
    for (const name of ['loose', 'second', 'marker']) fed.stop(name);
  });
});
