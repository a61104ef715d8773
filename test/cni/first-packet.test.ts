/** With the plugin a pod's first packet is judged: real plugin, real agent, veths as a CNI makes them, the API server still behind. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { askAgent } from '../../src/api/client.ts';
import { PATHS } from '../../src/api/contract.ts';
import { claimsFileOf } from '../../src/cni/claims-file.ts';
import { BUILT_PLUGIN } from '../../src/cni/install.ts';
import { netns } from '../../src/native.ts';
import type { FedNode } from '../agent/support/fed-node.ts';
import type { NodeAgent } from '../agent/support/node-agent.ts';
import { policy } from '../sources/kubernetes/objects.ts';
import { eventually } from '../support/eventually.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { netnsOn, PluggedNode } from './support/fed-plugin.ts';
import { environmentOf, resultOf } from './support/plugin.ts';

describeAsRoot('with the chained plugin', () => {
  let plugged: PluggedNode;
  let fed: FedNode;
  let agent: NodeAgent;
  let socket: string;

  beforeAll(async () => {
    plugged = await PluggedNode.start();
    ({ fed, socket } = plugged);
    fed.admit('api', 'web');
    agent = await plugged.openAgent('web', 'api', 'db');
  });

  afterAll(() => plugged?.[Symbol.asyncDispose]());

  const netnsOf = (pod: string) => netnsOn(fed, pod);
  const call: PluggedNode['call'] = (...asked) => plugged.call(...asked);

  /** The agent has done what it was told: who gives it little time has an answer, and does not go without. */
  const idle = () => askAgent(socket, PATHS.status);

  /** Only to web, and only web to it. */
  function isolate(name: string): void {
    const web = [{ podSelector: { matchLabels: { app: 'web' } } }];
    fed.server.put(
      policy('shop', name, {
        podSelector: { matchLabels: { app: name } },
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: web }],
        egress: [{ to: web }],
      }),
    );
  }

  it('the first packet of an isolated pod is judged, and every one to it, though its record has no address yet', async () => {
    isolate('late');
    fed.record('late');
    fed.node.addPod('late', '10.66.0.20');
    const { code, printed } = await call('ADD', 'late', { address: '10.66.0.20' });
    // Nothing is waited for from here on.
    expect([fed.node.reaches('late', 'db'), fed.node.reaches('db', 'late')]).toEqual([false, false]);
    expect([fed.node.reaches('late', 'web'), fed.node.reaches('web', 'late')]).toEqual([true, true]);
    expect(code).toBe(0);
    expect(printed).toEqual(resultOf('10.66.0.20', 'vlate', netnsOf('late')));
    expect(Object.keys(printed as object)).toEqual(Object.keys(resultOf('', '', '')));
    expect((await call('CHECK', 'late', { address: '10.66.0.20' })).code).toBe(0);
    expect(await call('CHECK', 'late', { address: '10.66.0.99' })).toMatchObject({
      code: 1,
      printed: { msg: expect.stringContaining('10.66.0.99') },
    });

    fed.record('late', '10.66.0.20');
    fed.start('marker', '10.66.0.21');
    await agent.enforced('marker');
    expect([fed.node.reaches('late', 'db'), fed.node.reaches('late', 'web')]).toEqual([false, true]);
    fed.stop('marker');
    fed.stop('late');
  });

  it('it is the plugin that does it: without, the first packet passes', async () => {
    isolate('early');
    fed.record('early');
    fed.node.addPod('early', '10.66.0.22');
    await fed.node.whenUp('early');
    expect(fed.node.reaches('early', 'db')).toBe(true);
    await call('ADD', 'early', { address: '10.66.0.22' });
    expect(fed.node.reaches('early', 'db')).toBe(false);
    fed.stop('early');
  });

  it('ADD waits for a record that comes late, and DEL gives the address to another at once', async () => {
    isolate('tardy');
    fed.node.addPod('tardy', '10.66.0.23');
    const added = call('ADD', 'tardy', { address: '10.66.0.23' });
    await agent.until(({ event, ifindex }) => event === 'guarded' && ifindex === fed.node.pod('tardy').ifindex);
    fed.record('tardy');
    expect((await added).code).toBe(0);
    expect([fed.node.reaches('tardy', 'db'), fed.node.reaches('tardy', 'web')]).toEqual([false, true]);
    fed.record('tardy', '10.66.0.23');

    // Its record is still there, as while it terminates, and says that the address is its own.
    fed.node.removePod('tardy');
    expect((await call('DEL', 'tardy')).code).toBe(0);
    fed.record('heir');
    fed.node.addPod('heir', '10.66.0.23');
    expect((await call('ADD', 'heir', { address: '10.66.0.23' })).code).toBe(0);
    expect([fed.node.reaches('heir', 'db'), fed.node.reaches('heir', 'api')]).toEqual([true, false]);
    fed.server.delete('Pod', 'shop/tardy');
    fed.stop('heir');
  });

  it('a late DEL of an earlier sandbox takes nothing from the one that runs', async () => {
    isolate('again');
    fed.record('again');
    fed.node.addPod('again', '10.66.0.24');
    await call('ADD', 'again', { address: '10.66.0.24', container: 'second' });
    expect((await call('DEL', 'again', { container: 'first' })).code).toBe(0);
    expect((await call('CHECK', 'again', { address: '10.66.0.24' })).code).toBe(0);
    expect([fed.node.reaches('again', 'web'), fed.node.reaches('again', 'db')]).toEqual([true, false]);
    fed.stop('again');
  });

  it('a pod of a set that comes again is not taken for the one before it: ADD waits for its own record', async () => {
    fed.record('again0');
    fed.node.addPod('again0', '10.66.0.27');
    expect((await call('ADD', 'again0', { address: '10.66.0.27', container: 'old' })).code).toBe(0);
    fed.record('again0', '10.66.0.27');
    fed.node.removePod('again0');
    expect((await call('DEL', 'again0', { container: 'old' })).code).toBe(0);

    // The record that the agent has is still that of the first, whom no policy isolates.
    isolate('again0-new');
    fed.node.addPod('again0', '10.66.0.28');
    const uid = 'of-the-second';
    await idle();
    const early = await call('ADD', 'again0', { address: '10.66.0.28', uid, timeout: 0.2 });
    expect([early.code, early.printed]).toMatchObject([1, { code: 11, msg: expect.stringContaining(uid) }]);
    fed.server.delete('Pod', 'shop/again0');
    fed.record('again0', undefined, { app: 'again0-new' });
    expect((await call('ADD', 'again0', { address: '10.66.0.28' })).code).toBe(0);
    expect([fed.node.reaches('again0', 'db'), fed.node.reaches('again0', 'web')]).toEqual([false, true]);
    fed.stop('again0');
  });

  it('what was told is known to the next agent: a pod without an address in its record stays enforced, and connected', async () => {
    isolate('kept');
    fed.record('kept');
    fed.node.addPod('kept', '10.66.0.29');
    expect((await call('ADD', 'kept', { address: '10.66.0.29' })).code).toBe(0);
    await agent.end('SIGKILL');
    agent = plugged.agent('--pending', 'open');
    await agent.enforced('kept');
    expect([fed.node.reaches('kept', 'db'), fed.node.reaches('kept', 'web')]).toEqual([false, true]);
    expect((await call('CHECK', 'kept', { address: '10.66.0.29' })).code).toBe(0);
    // And given back by one that has not seen its ADD.
    fed.record('kept', '10.66.0.29');
    expect((await call('DEL', 'kept')).code).toBe(0);
    fed.node.removePod('kept');
    fed.record('next');
    fed.node.addPod('next', '10.66.0.29');
    expect((await call('ADD', 'next', { address: '10.66.0.29' })).code).toBe(0);
    fed.stop('next');
    fed.server.delete('Pod', 'shop/kept');
  });

  it('a plugin that is killed while it waits leaves a claim that its DEL takes back', async () => {
    fed.node.addPod('cut', '10.66.0.30');
    const path = netnsOf('cut');
    const config = { cniVersion: '1.0.0', socket, timeout: 60, prevResult: resultOf('10.66.0.30', 'vcut', path) };
    const environment = { ...environmentOf({ pod: 'cut', netns: path }), CNI_COMMAND: 'ADD' };
    const child = netns.run(fed.node.namespace, () => spawn(BUILT_PLUGIN, { env: environment }));
    child.stdin.end(JSON.stringify(config));
    // Once the agent has it, this ADD is the pod's last.
    await eventually(() => expect(readFileSync(claimsFileOf(socket), 'utf8')).toContain('c-cut'));
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    expect((await call('DEL', 'cut')).code).toBe(0);
    expect(readFileSync(claimsFileOf(socket), 'utf8')).not.toContain('c-cut');
    fed.record('heir2');
    fed.node.addPod('heir2', '10.66.0.31');
    expect((await call('ADD', 'heir2', { address: '10.66.0.31' })).code).toBe(0);
    fed.node.removePod('cut');
    fed.stop('heir2');
  });

  it('a pod that nobody knows is not started when closed, and is when open', async () => {
    fed.node.addPod('stranger', '10.66.0.25');
    const address = '10.66.0.25';
    await idle();
    expect(await call('ADD', 'stranger', { address, timeout: 0.2 })).toMatchObject({
      code: 1,
      printed: { code: 11, msg: expect.stringContaining('no pod shop/stranger is known on this node') },
    });
    const open = await call('ADD', 'stranger', { address, timeout: 0.2, onAgentDown: 'open' });
    expect([open.code, open.printed]).toEqual([0, resultOf(address, 'vstranger', netnsOf('stranger'))]);
    expect(open.stderr).toContain('no pod shop/stranger is known');
    fed.node.removePod('stranger');
  });

  it('an ADD takes little', async () => {
    const taken: number[] = [];
    const pods = Array.from({ length: 20 }, (_, place) => [`quick${place}`, `10.66.0.${place + 100}`] as const);
    // A kubelet makes the sandbox some tenths of a second after it, and we, have seen the pod.
    for (const [name] of pods) {
      isolate(name);
      fed.record(name);
    }
    fed.start('marker', '10.66.0.90');
    await agent.enforced('marker');
    for (const [name, address] of pods) {
      fed.node.addPod(name, address);
      const { code, milliseconds } = await call('ADD', name, { address });
      expect(code).toBe(0);
      expect([fed.node.reaches(name, 'db'), fed.node.reaches(name, 'web')]).toEqual([false, true]);
      taken.push(milliseconds);
    }
    taken.sort((a, b) => a - b);
    const at = (share: number) => (taken[Math.floor(taken.length * share)] as number).toFixed(1);
    console.log(`ADD, process and all: median ${at(0.5)} ms, 90 % ${at(0.9)} ms, longest ${at(0.99)} ms`);
    for (const [name] of pods) fed.stop(name);
    fed.stop('marker');
  });

  it('an agent that is down: closed has no pod started, open starts it', async () => {
    fed.record('lonely');
    fed.node.addPod('lonely', '10.66.0.26');
    await agent.end('SIGKILL');
    const closed = await call('ADD', 'lonely', { address: '10.66.0.26' });
    expect(closed).toMatchObject({ code: 1, printed: { code: 11, msg: expect.stringContaining(socket) } });
    const open = await call('ADD', 'lonely', { address: '10.66.0.26', onAgentDown: 'open' });
    expect([open.code, open.printed]).toEqual([0, resultOf('10.66.0.26', 'vlonely', netnsOf('lonely'))]);
    for (const command of ['DEL', 'GC']) expect((await call(command, 'lonely', { cniVersion: '1.1.0' })).code).toBe(0);
    expect(await call('STATUS', 'lonely', { cniVersion: '1.1.0' })).toMatchObject({ code: 1, printed: { code: 50 } });

    agent = plugged.agent();
    await agent.ready();
    expect((await call('ADD', 'lonely', { address: '10.66.0.26', timeout: 10 })).code).toBe(0);
    expect((await call('STATUS', 'lonely', { cniVersion: '1.1.0' })).code).toBe(0);
    fed.stop('lonely');
  });

  it('an agent that is told to keeps the plugin installed, and one that is installed works', async () => {
    const [confDir, binDir] = [join(plugged.folder, 'net.d'), join(plugged.folder, 'bin')];
    mkdirSync(confDir);
    await agent.end('SIGTERM');
    agent = plugged.agent('--cni-conf-dir', confDir, '--cni-bin-dir', binDir);
    await agent.until(
      ({ event, err }) => event === 'cni-failed' && String(JSON.stringify(err)).includes('install the CNI first'),
    );
    for (const name of ['cbr0', 'cbr1']) {
      const said = agent.said.length;
      writeFileSync(
        join(confDir, '10-flannel.conflist'),
        JSON.stringify({ cniVersion: '1.0.0', name, plugins: [{ type: 'flannel' }] }),
      );
      await agent.until(({ event }) => event === 'cni-installed', said);
    }
    const list = JSON.parse(readFileSync(join(confDir, '10-flannel.conflist'), 'utf8'));
    expect(list).toMatchObject({
      name: 'cbr1',
      plugins: [{ type: 'flannel' }, { type: 'selvedge-cni', socket, timeout: 5, onAgentDown: 'closed' }],
    });
    expect(readdirSync(binDir)).toEqual(['selvedge-cni']);
  });
});
