/** A packet is known by who sent it: no mark that a pod sets, and no tunnel that ends on its node, makes it another's. */
import { writeFileSync } from 'node:fs';
import { netns, socket } from 'selvedge-libbpf';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PROTOCOL, tcp, udp } from '../bpf/support/frames.ts';
import { policy } from '../support/cases/case.ts';
import { checksum } from '../support/kernel/packets.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { BridgeNode } from './support/bridge-node.ts';
import { ADMITTED, DENIED, FAMILIES, guarding, NODE, PODS, REMOTE } from './support/cast.ts';
import { slotsInUse } from './support/flow-tables.ts';
import { ip } from './support/topology.ts';
import { frameOf, ipFrameOf, packetOf } from './support/wire.ts';

const { guarded, ward, open } = PODS;
const VXLAN_PORT = 8472;
const TUNNEL_MAC = '0a58ffffff01';

/** `ward` may be reached from the pods of another node alone. */
const FROM_REMOTE = policy('default/from-remote', {
  podSelector: { matchLabels: { under: 'policy' } },
  policyTypes: ['Ingress'],
  ingress: [{ from: [{ ipBlock: { cidr: `${REMOTE[4]}/24` } }] }],
});

describeAsRoot('disguises', () => {
  let node: BridgeNode;
  beforeAll(async () => {
    node = await BridgeNode.open('disguise', { addressed: true });
    // Packets are not to wait for a neighbour's answer.
    netns.run(node.seats.guarded.namespace, () => {
      const near = FAMILIES.map((family) => ward.addresses[family]);
      ip(near.map((one) => `neighbour replace ${one} lladdr 0a:58:0a:44:0a:03 dev eth0 nud permanent`));
    });
    netns.run(node.namespace, () => {
      ip([
        `link add flannel.1 address 0a:58:ff:ff:ff:01 type vxlan id 1 local ${NODE.addresses[4]} dstport ${VXLAN_PORT} nolearning`,
        'link set flannel.1 up',
        `route add ${REMOTE[4]}/32 dev flannel.1`,
        `neighbour replace ${ward.addresses[4]} lladdr 0a:58:0a:44:0a:03 dev cni0 nud permanent`,
      ]);
      for (const device of ['all', 'cni0', 'flannel.1']) {
        writeFileSync(`/proc/sys/net/ipv4/conf/${device}/rp_filter`, '0');
        writeFileSync(`/proc/sys/net/ipv4/conf/${device}/forwarding`, '1');
      }
    });
  });
  afterAll(() => node?.close());

  it('a mark that a pod gives its packets is not theirs on the node', async () => {
    await node.apply(guarding());
    for (const family of FAMILIES) {
      // Of every endpoint, with and without "is a reply".
      const slots = slotsInUse(node);
      expect(slots.length).toBeGreaterThan(1);
      for (const [place, slot] of slots.entries()) {
        for (const reply of [0, 1 << 14]) {
          const mark = (((slot | reply) << 16) | 0x4000) >>> 0;
          const payload = Buffer.alloc(8, place + 1);
          const outcome = node.offer('guarded', 'ward', payload, {
            arriving: Buffer.alloc(0),
            send: () => sendMarked({ family, mark, payload }),
          });
          expect(outcome).toBe('to-pod drop-policy');
        }
      }
    }
  });

  function sendMarked({ family, mark, payload }: { family: 4 | 6; mark: number; payload: Buffer }): void {
    netns.run(node.seats.guarded.namespace, () => {
      const fd = socket.open({ family, type: 'udp', mark });
      try {
        socket.send(fd, payload, { address: ward.addresses[family], port: DENIED });
      } finally {
        socket.close(fd);
      }
    });
  }

  /** Wrapped for the node's own tunnel, as if from another node's pod. */
  function wrapped(inner: Buffer, from: typeof guarded | typeof open): Buffer {
    const ethernet = frameOf({ from, to: { ...NODE, mac: TUNNEL_MAC } }, 0x0800, inner);
    const vxlan = Buffer.concat([Buffer.from('0800000000000100', 'hex'), ethernet]);
    const head = udp(50_000, VXLAN_PORT, 0);
    head.writeUInt16BE(head.length + vxlan.length, 4);
    const payload = Buffer.concat([head, vxlan]);
    return ipFrameOf({ from, to: NODE }, { family: 4, protocol: PROTOCOL.udp, payload });
  }

  const inner = packetOf(
    { from: guarded, to: ward },
    { family: 4, protocol: PROTOCOL.tcp, payload: tcp(5_000, ADMITTED.tcp, 'S'), source: REMOTE[4] },
  );
  /** Routed once. */
  const arriving = frameOf({ from: NODE, to: ward }, 0x0800, routed(inner));

  it("a packet in a tunnel to its own node is judged as its sender's: by the egress of a pod under policy", async () => {
    await node.apply(guarding('nothing'), FROM_REMOTE);
    expect(node.offer('guarded', 'ward', wrapped(inner, guarded), { arriving })).toBe('to-pod drop-policy');
  });

  it("a packet in a tunnel to its own node is judged as its sender's: by the ingress of who gets it", async () => {
    await node.apply(FROM_REMOTE);
    expect(node.offer('open', 'ward', wrapped(inner, open), { arriving })).toBe('to-pod drop-policy');
  });

  it('a packet in a tunnel arrives where policy admits its sender', async () => {
    await node.apply(guarding('every protocol'));
    expect(node.offer('open', 'ward', wrapped(inner, open), { arriving })).toBe('arrived');
  });
});

function routed(packet: Buffer): Buffer {
  const bytes = Buffer.from(packet);
  bytes[8] = (bytes[8] as number) - 1;
  bytes.writeUInt16BE(0, 10);
  bytes.writeUInt16BE(checksum(bytes.subarray(0, 20)), 10);
  return bytes;
}
