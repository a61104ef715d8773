/** A pod that gives its own interface its neighbour's addresses gains nothing: whose veth it is comes from real netlink. */
import { netns } from 'selvedge-libbpf';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Bindings } from '../../src/links/bindings.ts';
import { linkSource } from '../../src/links/link-source.ts';
import type { NodeLinks } from '../../src/model/links.ts';
import { address, icmp, PROTOCOL, tcp } from '../bpf/support/frames.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { BridgeNode } from './support/bridge-node.ts';
import { FAMILIES, guarding, PODS, type PodName } from './support/cast.ts';
import { ip } from './support/topology.ts';
import { arpFrame, ipFrameOf } from './support/wire.ts';

const { ward, open, free } = PODS;
/** What `open` does with its veth is the question; `free` looks on. */
const ENDS = { from: open, to: free };
const PORT = 80;

describeAsRoot('addresses that a pod gives itself', () => {
  let node: BridgeNode;
  let bindings: Bindings;
  beforeEach(async () => {
    node = await BridgeNode.open('claims', { addressed: true });
    bindings = new Bindings('closed');
  });
  afterEach(() => node?.close());

  /** As the agent does at every change of the node's links. */
  async function follow(): Promise<Record<string, string>> {
    const links = linksIn(node.namespace);
    let told: Record<string, string> = {};
    const bind = (compiled: Parameters<Bindings['update']>[1]) => {
      const bound = bindings.update(links, compiled);
      told = Object.fromEntries(
        [...bound.values()].map((one) => [one.link.name, one.kind === 'endpoint' ? one.pod : one.reason]),
      );
      return bound;
    };
    await node.applyTo(bind as never, [guarding('nothing')]);
    return told;
  }

  function take(name: PodName, ...addresses: readonly string[]): void {
    netns.run(node.seats[name].namespace, () => {
      ip(addresses.map((one) => `address add ${one} dev eth0${one.includes(':') ? ' nodad' : ''}`));
    });
  }

  const OWN = { vguarded: 'default/guarded', vward: 'default/ward', vopen: 'default/open', vfree: 'default/free' };

  it('are not its own once it is known', async () => {
    expect(await follow()).toEqual(OWN);
    take('open', `${ward.addresses[4]}/24`, `${ward.addresses[6]}/64`);
    expect(await follow()).toEqual(OWN);

    for (const family of FAMILIES) {
      const wrapped = { family, protocol: PROTOCOL.tcp, payload: tcp(5_000, PORT, 'S') };
      const forged = ipFrameOf(ENDS, { ...wrapped, source: ward.addresses[family] });
      expect(node.offer('open', 'free', forged)).toBe('from-pod drop-source');
      expect(node.offer('open', 'free', ipFrameOf(ENDS, wrapped))).toBe('arrived');
    }
    const arp = arpFrame({ ...ENDS, sender: ward.addresses[4], target: free.addresses[4], operation: 2 });
    expect(node.offer('open', 'free', arp)).toBe('from-pod drop-arp');
    expect(node.offer('open', 'free', advertisement(ward.addresses[6]))).toBe('from-pod drop-neighbour');
  });

  it('close an interface that comes with them, and leave the pod that they belong to alone', async () => {
    take('open', `${ward.addresses[4]}/24`);
    const told = await follow();
    expect(told).toMatchObject({ vward: 'default/ward', vopen: expect.stringContaining('default/ward') });

    const own = { family: 4, protocol: PROTOCOL.tcp, payload: tcp(5_001, PORT, 'S') } as const;
    const sent = ipFrameOf(ENDS, own);
    const send = () => {
      node.socketOf('open').send(sent);
      node.socketOf('open').send(ipFrameOf(ENDS, { ...own, source: ward.addresses[4] }));
    };
    // The sentinel comes from another pod: nothing of this one passes.
    expect(node.offer('free', 'ward', sent, { send })).toBe('from-pod drop-pending and from-pod drop-pending');
  });

  describe('of the link', () => {
    it("are not its neighbour's either", async () => {
      await follow();
      take('open', `${ward.linkLocal}/64`);
      await follow();
      expect(node.offer('open', 'free', advertisement(ward.linkLocal))).toBe('from-pod drop-neighbour');
      expect(node.offer('open', 'free', advertisement(open.linkLocal))).toBe('arrived');
    });
  });
});

/** From the pod's own address, that the target is at its hardware address. */
function advertisement(target: string): Buffer {
  const payload = icmp(136, 0, 0x60000000, Buffer.concat([address(target), Buffer.from(`0201${open.mac}`, 'hex')]));
  return ipFrameOf(ENDS, { family: 6, protocol: PROTOCOL.icmpv6, payload, v6: { hopLimit: 255 } });
}

function linksIn(namespace: string): NodeLinks {
  let links: NodeLinks | undefined;
  const list = () =>
    linkSource().subscribe((now) => {
      links = now;
    });
  // It lists at once when it is subscribed to.
  netns.run(namespace, () => list().unsubscribe());
  if (links === undefined) throw new Error(`${namespace}: no links`);
  return links;
}
