/** What is counted and told of many packets: nothing counted is lost, and a flood is told of in part only. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { describeAsRoot } from '../support/privilege.ts';
import { PacketPath } from './support/packet-path.ts';
import { PLACES, port, RULESET } from './support/state.ts';
import { Traffic } from './support/traffic.ts';

const { webEgress, apiIngress } = RULESET;
const LIMIT = 5;
const ipv4 = new Traffic(4);

describeAsRoot('counts and events', () => {
  let path: PacketPath;
  beforeAll(() => {
    // A window as long as the test: no second one begins meanwhile.
    path = new PacketPath('counts', { rodata: { event_limit: LIMIT, event_window: 0x7fffffff, event_mask: 3 } });
  });
  afterAll(() => path.close());
  beforeEach(() => {
    const rows = [
      { ruleset: apiIngress, peer: 'web', ports: [port('tcp', 8080)] },
      { ruleset: apiIngress, peer: 'db', ports: [port('tcp', 8081)] },
    ] as const;
    path.apply({ ...PLACES, endpoints: { api: { ingress: apiIngress }, web: { egress: webEgress } }, rows });
  });

  /** A connection's first packet to api by another node, from REMOTE or as told. @returns how many events it made */
  const send = (from: 'remote' | 'world', to: number): number => {
    const packet = ipv4.tcp(from, 'api', [40_000, to], 'S');
    return path.run('to_pod', { packet, ifindex: path.ifindex('api'), ingressIfindex: path.ifindex('uplink') }).events
      .length;
  };

  /** web and db have other slots than api, but on one CPU all that api drops is in one tally. */
  const lost = (): number => path.lost('LOSS_LIMITED');

  it('tells of no more drops than the limit in a window, counts them all, and what was left out', () => {
    const before = { lost: lost(), counted: path.counts(path.ifindex('api')).get(`POLICY/ingress/${apiIngress}`) ?? 0 };
    let told = 0;
    for (let i = 0; i < 40; i++) told += send('world', 1000 + i);
    expect(path.counts(path.ifindex('api')).get(`POLICY/ingress/${apiIngress}`)).toBe(before.counted + 40);
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThan(40);
    expect(told + lost() - before.lost).toBe(40);
  });

  it('tells of another endpoint while one has used up what it may', () => {
    for (let i = 0; i < 20; i++) send('world', 1000 + i);
    const left = path.run('to_node', {
      packet: ipv4.tcp('web', 'world', [40_000, 80], 'S'),
      ifindex: path.ifindex('uplink'),
      ingressIfindex: path.ifindex('web'),
      mark: path.markOf('web'),
    });
    expect(left.reasons).toEqual(['POLICY']);
  });

  it('keeps apart what different rules admit and what is dropped, however they alternate', () => {
    const counted = () => path.counts(path.ifindex('api'));
    const before = counted();
    const rules = { 8080: 'RULE/ingress/8080', 8081: 'RULE/ingress/8081' } as const;
    for (let i = 0; i < 30; i++) {
      for (const [from, to] of [
        ['web', 8080],
        ['db', 8081],
      ] as const) {
        const packet = ipv4.tcp(from, 'api', [41_000 + i, to], 'S');
        const mark = path.markOf(from);
        const sender = path.ifindex(from);
        // Of web nothing is admitted by egress here, so what it sends is taken for the node's forwarding of another's.
        path.run('to_pod', {
          packet,
          ifindex: path.ifindex('api'),
          ingressIfindex: sender,
          mark: from === 'web' ? 0 : mark,
        });
      }
      send('world', 2000 + i);
    }
    const after = counted();
    for (const name of [...Object.values(rules), `POLICY/ingress/${apiIngress}`]) {
      expect({ name, packets: (after.get(name) ?? 0) - (before.get(name) ?? 0) }).toEqual({ name, packets: 30 });
    }
  });
});
