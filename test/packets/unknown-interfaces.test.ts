/** An interface that no pod is known for: open it passes whatever is sent, closed nothing at all, not even ARP. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Address } from '../../src/model/address.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import type { Binding } from '../../src/model/links.ts';
import { PROTOCOL, tcp } from '../bpf/support/frames.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { BridgeNode } from './support/bridge-node.ts';
import { ADMITTED, FAMILIES, guarding, NODE, PODS, type PodName } from './support/cast.ts';
import { arpFrame, type Ends, ETHERTYPES, frameOf, ipFrameOf, packetOf } from './support/wire.ts';

/** Nobody knows these two. */
const ENDS: Ends = { from: PODS.open, to: PODS.free };

describeAsRoot('an interface that no pod is known for', () => {
  let node: BridgeNode;
  beforeAll(async () => {
    node = await BridgeNode.open('unknown');
  });
  afterAll(() => node?.close());

  async function apply(verdict: 'open' | 'closed'): Promise<void> {
    const bind = (name: PodName): [number, Binding] => {
      const { ifindex } = node.seats[name];
      const link = { ifindex, name, addresses: Object.values(PODS[name].addresses) as Address[] };
      if (name === 'open' || name === 'free') return [ifindex, { kind: 'pending', link, verdict, reason: 'a test' }];
      return [ifindex, { kind: 'endpoint', link, pod: `default/${name}` as ObjectKey, linkLocal: [] }];
    };
    const bindings = new Map((['guarded', 'ward', 'open', 'free'] as const).map(bind));
    await node.applyTo(() => bindings, [guarding()]);
  }

  /** Everything that a known pod may not send. */
  function* frames(): Generator<[name: string, frame: Buffer]> {
    for (const family of FAMILIES) {
      const syn = { family, protocol: PROTOCOL.tcp, payload: tcp(5_000, ADMITTED.tcp, 'S') };
      yield [`IPv${family}`, ipFrameOf(ENDS, syn)];
      yield [`IPv${family} from the gateway's address`, ipFrameOf(ENDS, { ...syn, source: NODE.addresses[family] })];
      yield [`IPv${family} with a tag`, frameOf(ENDS, ETHERTYPES[family], packetOf(ENDS, syn), [[0x8100, 5]])];
      yield [
        `IPv${family} in QinQ`,
        frameOf(ENDS, ETHERTYPES[family], packetOf(ENDS, syn), [
          [0x88a8, 5],
          [0x8100, 6],
        ]),
      ];
    }
    yield ['ARP for the gateway', arpFrame({ ...ENDS, sender: NODE.addresses[4], target: '10.68.10.5', operation: 2 })];
    yield ['LLDP', frameOf(ENDS, 0x88cc, Buffer.alloc(40))];
    yield ['nothing but a header', frameOf(ENDS, 0x0800, Buffer.alloc(0))];
  }

  it('passes whatever is sent while it is open; a tag has been taken off the frame by then', async () => {
    await apply('open');
    const outcomes = [...frames()].map(([name, frame]) => [name, node.offer('open', 'free', frame)]);
    expect(outcomes).toEqual(
      [...frames()].map(([name]) => [name, /tag|QinQ/.test(name) ? 'arrived tagged' : 'arrived']),
    );
  });

  it('passes nothing while it is closed, in neither direction', async () => {
    await apply('closed');
    // The sentinel has a way of its own: none of these has.
    const sent = (from: PodName, frame: Buffer) => ({ send: () => node.socketOf(from).send(frame) });
    for (const [name, frame] of frames()) {
      const outcome = node.offer('guarded', 'ward', frame, sent('open', frame));
      expect([name, outcome]).toEqual([name, 'from-pod drop-pending']);
    }
    const ends = { from: PODS.guarded, to: PODS.free };
    const arp = arpFrame({ ...ends, sender: ends.from.addresses[4], target: ends.to.addresses[4] });
    expect(node.offer('guarded', 'ward', arp, sent('guarded', arp))).toBe('to-pod drop-pending');
  });
});
