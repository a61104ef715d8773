/** What the data plane tells of packets and of itself: read only while somebody listens, and what nobody could hear is counted. */
import { expect, test } from 'vitest';
import type { OpenedBpfDataplane } from '../../../src/dataplane/bpf/open.ts';
import type { Address } from '../../../src/model/address.ts';
import type { VerdictEvent } from '../../../src/model/verdict-event.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { openingPacket } from './support/kernel-node.ts';
import { isolatedAt, NodePerTest } from './support/on-kernel.ts';

/** Fewer drops than that fill a ring of one page. */
const MANY = 200;

describeAsRoot('the observation of the data plane', () => {
  const fresh = new NodePerTest();

  async function enforced(more = {}): Promise<{ dataplane: OpenedBpfDataplane; drop: (times: number) => void }> {
    const ifindex = fresh.node.addVeth();
    const dataplane = await fresh.open({ mapSizes: { events: 4096 }, ...more });
    await dataplane.apply(isolatedAt(ifindex, [80]), undefined);
    const packet = openingPacket({ source: '192.0.2.1' as Address, destination: '10.0.0.1' as Address, port: 81 });
    const context = { ifindex, ingressIfindex: ifindex + 1 };
    const drop = (times: number) => {
      for (let i = 0; i < times; i++) dataplane.object.program('to_pod').testRun({ packet, context });
    };
    return { dataplane, drop };
  }

  test('tells whoever listens, those who came first of what was before too, and nobody afterwards', async () => {
    const { dataplane, drop } = await enforced({ constants: { eventLimit: 0 } });
    const { observation } = dataplane;
    drop(MANY);
    const { event: lost } = await observation.losses();
    expect(lost).toBeGreaterThan(0);
    const [one, other]: [VerdictEvent[], VerdictEvent[]] = [[], []];
    const heard = Promise.withResolvers<void>();
    const first = observation.verdicts.subscribe((event) => {
      one.push(event);
      if (one.length === MANY - lost) heard.resolve();
    });
    const second = observation.verdicts.subscribe((event) => other.push(event));
    await heard.promise;
    expect(other).toEqual(one);
    expect(one[0]).toMatchObject({ verdict: 'deny', pod: 'ns/server', destinationPort: 81, policies: ['ns/policy'] });
    second.unsubscribe();
    const third = new Promise<VerdictEvent>((resolve) => observation.verdicts.subscribe(resolve).add(first));
    drop(1);
    await third;
    expect(one).toHaveLength(MANY - lost + 1);
    first.unsubscribe();
  });

  test('counts all drops, and of those that came too fast how many were not told', async () => {
    const { dataplane, drop } = await enforced({ constants: { eventLimit: 5 }, mapSizes: {} });
    const { observation } = dataplane;
    drop(MANY);
    const counts = await observation.counts();
    expect(counts).toMatchObject([{ pod: 'ns/server', reason: 'drop-policy', packets: BigInt(MANY) }]);
    const { limited: lost } = await observation.losses();
    expect(lost).toBeGreaterThan(0);
    let told = 0;
    await new Promise<void>((resolve) => {
      observation.verdicts.subscribe(() => ++told === MANY - lost && resolve());
    });
  });

  test('says how full each map is, and of what it has room for', async () => {
    const { dataplane } = await enforced();
    const fill = new Map((await dataplane.observation.fill()).map(({ name, ...rest }) => [name, rest]));
    expect(fill.get('endpoints')).toEqual({ entries: 1, capacity: 16_384 });
    expect(fill.get('policy')?.entries).toBe(1);
    expect(fill.get('ipcache4')).toEqual({ entries: 1, capacity: 262_144 });
    expect([...fill.values()].every(({ entries, capacity }) => entries <= capacity)).toBe(true);
  });

  test('an end of the data plane ends it too', async () => {
    const { dataplane, drop } = await enforced();
    const told = new Promise((resolve) => dataplane.observation.verdicts.subscribe(resolve));
    drop(1);
    await told;
    dataplane.close();
    dataplane.observation.verdicts.subscribe(() => expect.unreachable());
  });
});
