/**
 * A table of flows of ten entries under all CPUs at once: whatever takes whose place meanwhile, no packet is judged by the
 * entry of another connection, and no connection is there twice; also while an upgrade has programs of two versions at it.
 * SELVEDGE_RACE_SECONDS makes it longer.
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

/** web may send to this port of remote, and be sent to on it: on no other one. */
const admitting = (allowed: number): State => ({
  ...PLACES,
  endpoints: { web: { egress: webEgress, ingress: webIngress } },
  rows: [
    { ruleset: webEgress, peer: 'remote', ports: [port('tcp', allowed)] },
    { ruleset: webIngress, peer: 'remote', ports: [port('tcp', allowed)] },
  ],
});
const STATE = admitting(ALLOWED);
const OTHER_STATE = admitting(DENIED);

describeAsRoot('a small table of flows under all CPUs', () => {
  let path: PacketPath;
  let drivers: Drivers;
  /** Of another version, with a state of its own. */
  let next: PacketPath;
  let nextDrivers: Drivers;
  beforeAll(() => {
    // Where conntrack is asked, an answer to what nobody has judged is judged by its request.
    path = new PacketPath('races', { flowSetBits: 1, rodata: { conntrack: 1 } });
    drivers = new Drivers(path);
    path.apply(STATE);
    next = new PacketPath('races-next', { flowSetBits: 1, rodata: { conntrack: 1 }, after: path });
    nextDrivers = new Drivers(next);
    next.apply(OTHER_STATE);
  });
  afterAll(() => {
    for (const one of [drivers, nextDrivers]) one?.[Symbol.dispose]();
    for (const one of [path, next]) one?.close();
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
      next.apply(OTHER_STATE);
    }
  };
  /** Streams of both versions at once: `whole` begins when all of them run. */
  const together = async (old: readonly Stream[], other: readonly Stream[], whole: () => Promise<void>) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let idle = 2;
    const begin = () => {
      if (--idle === 0) whole().then(resolve, reject);
      return promise;
    };
    return Promise.all([drivers.run(old, begin), nextDrivers.run(other, begin)]);
  };
  /** Of web's packets, by policy. */
  const drops = (of = path) => {
    const counts = of.counts(of.ifindex('web'));
    return (counts.get(`POLICY/ingress/${webIngress}`) ?? 0) + (counts.get(`POLICY/egress/${webEgress}`) ?? 0);
  };

  describe.each(FAMILIES)('of IPv%i', (family) => {
    const t = new Traffic(family);
    /** Few, so that most packets find an entry. */
    const ports = 16;
    const sends = (to: number, flags: string, of = path): Stream => ({
      hook: 'from_pod',
      packet: t.tcp('web', 'remote', [0, to], flags),
      ifindex: of.ifindex('web'),
      ports,
    });
    const leaves = (to: number, of = path): Stream => ({
      ...sends(to, 'A', of),
      hook: 'to_node',
      ifindex: of.ifindex('uplink'),
      ingressIfindex: of.ifindex('web'),
      mark: of.markOf('web'),
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

    it('a verdict is of the version that asks: each drops what its own state denies, and nothing else', async () => {
      const before = [drops(), drops(next)];
      const streams = (of: PacketPath) => [sends(ALLOWED, 'S', of), leaves(ALLOWED, of), leaves(DENIED, of)];
      const others = [...streams(next), sends(DENIED, 'S', next)];
      const [old, other] = await together(streams(path), others, meanwhile);
      const denied = [old[2], other[1]];
      expect(denied).not.toContain(0);
      expect([drops() - (before[0] ?? 0), drops(next) - (before[1] ?? 0)]).toEqual(denied);
    });

    it('no connection is in the table twice', async () => {
      for (let round = 0; round < 5; round++) {
        const [one, other] = [sends(ALLOWED, 'S'), sends(ALLOWED, 'S', next)];
        await together([one, one], [other, other], () => pause(seconds * 100));
        const keys = path.flows('web', family).map(({ key }) => JSON.stringify(key));
        expect(keys.length).toBeGreaterThan(0);
        expect(new Set(keys).size).toBe(keys.length);
      }
    });
  });
});
