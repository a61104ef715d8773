import { pino } from 'pino';
import { filter, firstValueFrom, of, Subject, startWith } from 'rxjs';
import { expect, it } from 'vitest';
import { Agent } from '../../../src/agent.ts';
import type { Applied, DesiredState } from '../../../src/dataplane/contract.ts';
import { MemoryDataplane } from '../../../src/dataplane/memory/memory-dataplane.ts';
import type { Address } from '../../../src/model/address.ts';
import type { NodeLinks } from '../../../src/model/links.ts';
import { kubernetesSource } from '../../../src/sources/kubernetes/kubernetes-source.ts';
import { ApiServer } from '../../support/api-server/api-server.ts';
import { Kubeconfig } from '../../support/api-server/kubeconfig.ts';
import { HASTE } from './follower.ts';
import { namespace, node, pod, policy } from './objects.ts';

class WatchedDataplane extends MemoryDataplane {
  readonly #applied = new Subject<void>();

  override async apply(state: DesiredState): Promise<Applied> {
    const applied = await super.apply(state);
    this.#applied.next();
    return applied;
  }

  async until(holds: () => boolean): Promise<void> {
    await firstValueFrom(this.#applied.pipe(startWith(undefined), filter(holds)));
  }
}

const CLIENT = '10.244.0.5' as Address;
const SERVER = '10.244.0.6' as Address;

it('an agent enforces what the API server says, and goes on while it is away', async () => {
  await using server = await ApiServer.listen();
  server.put(namespace('shop'), node('node1'));
  server.put(pod('shop', 'client', { labels: { app: 'client' }, address: CLIENT }));
  server.put(pod('shop', 'server', { labels: { app: 'server' }, address: SERVER }), policy('shop', 'closed'));
  using kubeconfig = new Kubeconfig({ server: server.url });
  const link = (ifindex: number, address: Address) => ({ ifindex, name: `veth${ifindex}`, addresses: [address] });
  const links: NodeLinks = {
    pods: new Map([
      [5, link(5, CLIENT)],
      [6, link(6, SERVER)],
    ]),
    exits: new Map(),
    ownAddresses: new Set(['192.0.2.1' as Address]),
    gone: new Set(),
  };
  const dataplane = new WatchedDataplane();
  const agent = new Agent({
    node: 'node1',
    source: kubernetesSource({ node: 'node1', kubeconfig: kubeconfig.path, timing: HASTE }),
    links: of(links),
    dataplane,
    pending: 'auto',
    log: pino({ level: 'silent' }),
  });
  const admitted = () => dataplane.judge({ source: CLIENT, destination: SERVER, protocol: 'TCP', port: 80 }).allowed;
  agent.start();
  await dataplane.until(() => !admitted());
  expect([...(dataplane.state?.bindings.values() ?? [])].map(({ kind }) => kind)).toEqual(['endpoint', 'endpoint']);

  await server.pause();
  expect(admitted()).toBe(false);
  const opened = { podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }] };
  server.put(policy('shop', 'opened', opened));
  server.compact();
  await server.resume();
  await dataplane.until(admitted);

  server.put(pod('shop', 'client', { labels: { app: 'other' }, address: CLIENT }));
  await dataplane.until(() => !admitted());
  server.delete('NetworkPolicy', 'shop/opened');
  server.delete('NetworkPolicy', 'shop/closed');
  await dataplane.until(admitted);
  await agent.close();
  expect(dataplane.closed).toBe(true);
});
