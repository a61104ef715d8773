/**
 * Promise 7 on the kernel: its events hold numbers, and user space gives them the names that they had when the packet was
 * judged, also when the numbers have come to mean something else before the event is read.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Address } from '../../src/model/address.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import { policy } from '../support/cases/case.ts';
import { cast } from '../support/cases/cast.ts';
import { TestCluster } from '../support/kernel/cluster.ts';
import { NO_ATTACHMENTS, openTestDataplane, type TestDataplane } from '../support/kernel/dataplanes.ts';
import { firstPacket } from '../support/kernel/packets.ts';
import { desiredState } from '../support/kernel/site.ts';
import { TestNamespace } from '../support/kernel/test-namespace.ts';
import type { ClusterObject } from '../support/oracle/objects.ts';
import { describeAsRoot } from '../support/privilege.ts';

const api = { matchLabels: { app: 'api' } };
const [WEB, API, SCAN] = ['10.244.0.11', '10.244.0.12', '10.244.1.14'] as Address[] as [Address, Address, Address];

/** The same shape under other names: what is numbered by its place comes by the numbers of the state before. */
function named(name: string, port: number): ClusterObject[] {
  return [
    ...cast,
    policy(`shop/${name}-a`, { podSelector: api, ingress: [{ ports: [{ port: 9999 }] }] }),
    policy(`shop/${name}-b`, { podSelector: api, ingress: [{ ports: [{ port: 9998 }] }, { ports: [{ port }] }] }),
    policy(`shop/${name}-web`, { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Egress'] }),
  ];
}

describeAsRoot('events of the kernel', () => {
  let namespace: TestNamespace;
  let opened: TestDataplane;
  /** Of each connection its own. */
  let sourcePort = 40_000;

  beforeAll(async () => {
    namespace = new TestNamespace('told', ['uplink', 'web', 'api']);
    opened = await openTestDataplane({
      replace: () => ({ attachments: NO_ATTACHMENTS }),
      constants: { events: { drops: true, admitted: true } },
    });
  });

  afterAll(() => {
    opened?.remove();
    namespace?.close();
  });

  async function enforce(objects: readonly ClusterObject[], pods = ['shop/web', 'shop/api']): Promise<bigint> {
    const [uplink, ...seats] = namespace.ifindexes as [number, ...number[]];
    const cluster = new TestCluster(objects);
    const seatsOf = () => new Map(pods.map((pod, index) => [pod as ObjectKey, seats[index] as number]));
    const node = { exit: { ifindex: uplink, name: 'uplink' }, seatsOf };
    const state = desiredState(node, cluster.compilerOf('node1').state, cluster.ownAddresses('node1'));
    return (await opened.dataplane.apply(state, undefined)).generation;
  }

  function arrive(port: number): void {
    const [, , ifindex] = namespace.ifindexes as [number, number, number];
    const packet = firstPacket({ source: SCAN, destination: API, protocol: 'TCP', port, sourcePort: sourcePort++ });
    const context = { ifindex, ingressIfindex: namespace.ifindexes[0] as number, mark: 0 };
    namespace.run(() => opened.kernel.object.program('to_pod').testRun({ packet, context }));
  }

  function leave(): void {
    const [uplink, ifindex] = namespace.ifindexes as [number, number];
    const packet = firstPacket({ source: WEB, destination: SCAN, protocol: 'UDP', port: 53, sourcePort: 40_000 });
    const run = (hook: 'from_pod' | 'to_node', index: number, mark: number) => {
      const context = { ifindex: index, ingressIfindex: ifindex, mark };
      return namespace.run(() => opened.kernel.object.program(hook).testRun({ packet, context }));
    };
    run('to_node', uplink, run('from_pod', ifindex, 0).context?.mark ?? 0);
  }

  it('are told by the names of the state that judged, however many have come since', async () => {
    const generations: bigint[] = [];
    for (const [name, port] of [
      ['first', 80],
      ['second', 80],
      ['third', 81],
    ] as const) {
      generations.push(await enforce(named(name, port)));
      arrive(port);
      arrive(443);
      leave();
    }
    // Nobody has read yet; meanwhile all policies go, other pods come, and the numbers are given out anew.
    await enforce(cast);
    await enforce(named('fourth', 80), ['audit/web', 'shop/api']);
    await opened.dataplane.settled();
    const told: ReturnType<TestDataplane['dataplane']['events']['event']>[] = [];
    await new Promise<void>((all) => {
      opened.kernel.readEvents((record) => {
        if (told.push(opened.dataplane.events.event(record)) === 9) all();
      });
    });
    const expected = ['first', 'second', 'third'].flatMap((name, index) => {
      const generation = generations[index];
      const both = [`shop/${name}-a`, `shop/${name}-b`];
      const rule = { policy: `shop/${name}-b`, direction: 'ingress', index: 1 };
      return [
        { generation, pod: 'shop/api', direction: 'ingress', reason: 'allow-rule', rule, policies: both },
        { generation, pod: 'shop/api', direction: 'ingress', reason: 'drop-policy', policies: both },
        { generation, pod: 'shop/web', direction: 'egress', reason: 'drop-policy', policies: [`shop/${name}-web`] },
      ];
    });
    expect(told).toMatchObject(expected);
    expect(told.every(({ reason, rule }) => (rule !== undefined) === (reason === 'allow-rule'))).toBe(true);
  });
});
