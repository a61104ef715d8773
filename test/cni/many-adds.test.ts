/** The plugin called as no runtime should: a hundred times at once, twice, out of order, and of an agent that stands still. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { FedNode } from '../agent/support/fed-node.ts';
import type { NodeAgent } from '../agent/support/node-agent.ts';
import { policy } from '../sources/kubernetes/objects.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { netnsOn, PluggedNode } from './support/fed-plugin.ts';
import { resultOf } from './support/plugin.ts';

/** More than the agent serves at once, and about as many as a node has pods at most. */
const MANY = 100;

describeAsRoot('the chained plugin, asked for too much', () => {
  let plugged: PluggedNode;
  let fed: FedNode;
  let agent: NodeAgent;

  beforeAll(async () => {
    plugged = await PluggedNode.start();
    fed = plugged.fed;
    const egress = [{ to: [{ podSelector: { matchLabels: { app: 'web' } } }] }];
    fed.server.put(
      policy('shop', 'only-web', { podSelector: { matchLabels: { app: 'many' } }, policyTypes: ['Egress'], egress }),
    );
    agent = await plugged.openAgent('web', 'db');
  });

  afterAll(() => plugged?.[Symbol.asyncDispose]());

  const call: PluggedNode['call'] = (...asked) => plugged.call(...asked);
  const begin = (pod: string, address: string) => {
    fed.record(pod, undefined, { app: 'many' });
    fed.node.addPod(pod, address);
  };
  /** [to web, to db] */
  const reaches = (pod: string) => [fed.node.reaches(pod, 'web'), fed.node.reaches(pod, 'db')];

  it('a hundred ADDs at once end well, and each pod is judged from its first packet on', async () => {
    const pods = Array.from({ length: MANY }, (_, place) => [`m${place}`, `10.66.0.${place + 100}`] as const);
    for (const [pod, address] of pods) begin(pod, address);
    const outcomes = await Promise.all(pods.map(([pod, address]) => call('ADD', pod, { address, timeout: 20 })));
    expect(outcomes.filter(({ code }) => code !== 0)).toEqual([]);
    for (const [place, [pod, address]] of pods.entries()) {
      expect(reaches(pod)).toEqual([true, false]);
      expect(outcomes[place]?.printed).toEqual(resultOf(address, `v${pod}`, netnsOn(fed, pod)));
    }
    const dels = await Promise.all(pods.map(([pod]) => call('DEL', pod)));
    expect(dels.filter(({ code }) => code !== 0)).toEqual([]);
    for (const [pod] of pods) fed.stop(pod);
  });

  it('an ADD that is repeated gives the same, and a DEL that is', async () => {
    begin('twice', '10.66.0.20');
    const [first, second] = [
      await call('ADD', 'twice', { address: '10.66.0.20' }),
      await call('ADD', 'twice', { address: '10.66.0.20' }),
    ];
    expect([first.code, second.code, second.printed]).toEqual([0, 0, first.printed]);
    expect(reaches('twice')).toEqual([true, false]);
    expect((await call('CHECK', 'twice', { address: '10.66.0.20' })).code).toBe(0);
    for (let i = 0; i < 2; i++) expect(await call('DEL', 'twice')).toMatchObject({ code: 0, printed: undefined });
    fed.stop('twice');
  });

  it('a DEL without ADD takes nothing from anybody, of pods that are known or not', async () => {
    expect((await call('DEL', 'nobody', { container: 'never' })).code).toBe(0);
    expect((await call('DEL', 'db', { container: 'never' })).code).toBe(0);
    expect((await call('CHECK', 'db', { address: '10.66.0.11' })).code).toBe(0);
    expect(fed.node.reaches('web', 'db')).toBe(true);
  });

  it('an agent that stands still: closed is refused in bounded time, open goes on, and once it runs again all is well', async () => {
    begin('still', '10.66.0.21');
    agent.kill('SIGSTOP');
    const address = '10.66.0.21';
    const [closed, open, del] = await Promise.all([
      call('ADD', 'still', { address, timeout: 0.3 }),
      call('ADD', 'still', { address, timeout: 0.3, onAgentDown: 'open' }),
      call('DEL', 'still', { container: 'other', timeout: 0.3 }),
    ]).finally(() => agent.kill('SIGCONT'));
    expect(closed).toMatchObject({
      code: 1,
      printed: { cniVersion: '1.0.0', code: 11, msg: 'selvedge: the agent gave no answer in time' },
    });
    expect([open.code, open.printed]).toEqual([0, resultOf(address, 'vstill', netnsOn(fed, 'still'))]);
    expect(open.stderr).toContain('as onAgentDown says: the agent gave no answer in time');
    expect(del).toMatchObject({ code: 0, printed: undefined });
    expect((await call('ADD', 'still', { address })).code).toBe(0);
    expect(reaches('still')).toEqual([true, false]);
    fed.stop('still');
  });
});
