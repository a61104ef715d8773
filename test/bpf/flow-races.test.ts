/**
 * A table of flows of ten entries under all CPUs at once: whatever takes whose place meanwhile, no packet is judged by the
 * entry of another connection, and no connection is there twice. SELVEDGE_RACE_SECONDS makes it longer.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BpfMap } from '../../src/native.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { Drivers, type Stream } from './support/flood.ts';
import { PacketPath } from './support/packet-path.ts';
import { PLACES, port, RULESET, type State } from './support/state.ts';
import { FAMILIES, Traffic } from './support/traffic.ts';

const { webEgress, webIngress } = RULESET;
const seconds = Number(process.env.SELVEDGE_RACE_SECONDS ?? 1);
const [ALLOWED, DENIED] = [8080, 8081];

/** web may send to 8080 of remote and be sent to on 8080 by it: never on 8081. */
const STATE: State = {
  ...PLACES,
  endpoints: { web: { egress: webEgress, ingress: webIngress } },
  rows: [
    { ruleset: webEgress, peer: 'remote', ports: [port('tcp', ALLOWED)] },
    { ruleset: webIngress, peer: 'remote', ports: [port('tcp', ALLOWED)] },
  ],
};

describeAsRoot('a small table of flows under all CPUs', () => {
  let path: PacketPath;
  let drivers: Drivers;
  beforeAll(() => {
    // Where conntrack is asked, an answer to what nobody has judged is judged by its request.
    path = new PacketPath('races', { flowSetBits: 1, rodata: { conntrack: 1 } });
    drivers = new Drivers(path);
    path.apply(STATE);
  });
  afterAll(() => {
    drivers?.[Symbol.dispose]();
    path?.close();
  });
  beforeEach(() => path.forgetFlows());
  afterEach(() => path.forgetFlows());

  /** New generations of the same state, so that every verdict is kept again and again. */
  const meanwhile = async () => {
    const end = Date.now() + seconds * 1000;
    while (Date.now() < end) {
      await pause(10);
      await BpfMap.rcuGracePeriod();
      path.apply(STATE);
    }
  };
  /** Of web's packets, by policy. */
  const drops = () => {
    const counts = path.counts(path.ifindex('web'));
    return (counts.get(`POLICY/ingress/${webIngress}`) ?? 0) + (counts.get(`POLICY/egress/${webEgress}`) ?? 0);
  };

  describe.each(FAMILIES)('of IPv%i', (family) => {
    const t = new Traffic(family);
    /** Few, so that most packets find an entry. */
    const ports = 16;
    const sends = (to: number, flags: string): Stream => ({
      hook: 'from_pod',
      packet: t.tcp('web', 'remote', [0, to], flags),
      ifindex: path.ifindex('web'),
      ports,
    });
    const leaves = (to: number): Stream => ({
      ...sends(to, 'A'),
      hook: 'to_node',
      ifindex: path.ifindex('uplink'),
      ingressIfindex: path.ifindex('web'),
      mark: path.markOf('web'),
    });
    const arrives = (to: number, flags: string): Stream => ({
      hook: 'to_pod',
      packet: t.tcp('remote', 'web', [0, to], flags),
      ifindex: path.ifindex('web'),
      ingressIfindex: path.ifindex('uplink'),
      ports,
    });
    const answers = (from: number): Stream => ({
      ...arrives(0, 'A'),
      packet: t.tcp('remote', 'web', [from, 0], 'A'),
      of: 'destination',
    });

    it('a verdict that is kept is kept for its own connection: what may not leave is dropped, and nothing else', async () => {
      const before = drops();
      const streams = [sends(ALLOWED, 'S'), sends(DENIED, 'S'), leaves(ALLOWED), leaves(DENIED)];
      const [, , , denied] = await drivers.run(streams, meanwhile);
      expect(denied).toBeGreaterThan(0);
      expect(drops() - before).toBe(denied);
    });

    it('a verdict that is found is of its own connection: what answers a denied request is dropped, and nothing else', async () => {
      const before = drops();
      const streams = [arrives(ALLOWED, 'S'), sends(DENIED, 'S'), arrives(ALLOWED, 'A'), answers(DENIED)];
      const [, , , denied] = await drivers.run(streams, meanwhile);
      expect(denied).toBeGreaterThan(0);
      expect(drops() - before).toBe(denied);
    });

    it('no connection is in the table twice', async () => {
      for (let round = 0; round < 5; round++) {
        const one = sends(ALLOWED, 'S');
        await drivers.run([one, one, one, one], () => pause(seconds * 100));
        const keys = path.flows('web', family).map(({ key }) => JSON.stringify(key));
        expect(keys.length).toBeGreaterThan(0);
        expect(new Set(keys).size).toBe(keys.length);
      }
    });
  });
});
