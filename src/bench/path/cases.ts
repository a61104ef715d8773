/** What is measured: of each testbed, packets at hooks, with the connections that they need made beforehand. */
import type { SkbContext } from '../../native.ts';
import type { Case, Group, Hook, Shot } from './case.ts';
import { frameOf, type Packet, portPlace } from './frames.ts';
import type { Testbed, Variant } from './testbed.ts';
import { addressOfEnd, type End, type LocalPod } from './world.ts';

interface Way {
  readonly from: End;
  readonly to: End;
  readonly family: 4 | 6;
}

const REPLY = 1 << 30;
const PORTS = [33_000, 80] as const;
const REPEAT = 20_000;
/** The lower two bytes of an IPv4 source, from the frame's start. */
const LOW_SOURCE_PLACE = 28;
/** Enough not to meet itself again within a table of flows, and below the ports of what is established. */
const FRESH_PORTS = 32_768;

/** The cases of one testbed; what it makes by sending packets must be called in the namespace. */
export class Cases {
  readonly #testbed: Testbed;
  readonly #scale: string;

  constructor(testbed: Testbed, scale: string) {
    this.#testbed = testbed;
    this.#scale = scale;
  }

  *all(family: 4 | 6): Generator<Case> {
    yield* this.established(family);
    yield* this.fresh(family, 'TCP');
    yield* this.fresh(family, 'UDP');
    yield* this.askingUdp(family);
    yield* this.drops(family, 'quiet', 'drop, no event');
    yield* this.drops(family, 'telling', 'drop, with event');
    yield* this.drops(family, 'limited', 'drop, event over the limit');
    yield* this.otherDrops(family);
    if (family === 4) yield* this.strangers('stranger');
    yield* this.unisolated(family);
  }

  *established(family: 4 | 6): Generator<Case> {
    const group = 'established';
    const [within, out, into] = [
      { from: 'client', to: 'server', family } as const,
      { from: 'client', to: 'member', family } as const,
      { from: 'member', to: 'server', family } as const,
    ];
    for (const way of [within, out, into]) this.#connect(way);
    yield this.#plain(group, 'from_pod', within);
    yield this.#plain(group, 'from_pod', reversed(within), { reply: true });
    yield this.#plain(group, 'to_pod', within);
    yield this.#plain(group, 'to_pod', reversed(within), { reply: true });
    yield this.#plain(group, 'to_pod', into);
    yield this.#plain(group, 'to_pod', reversed(out), { reply: true });
    yield this.#plain(group, 'to_node', out);
    yield this.#plain(group, 'to_node', reversed(into), { reply: true });
  }

  *fresh(family: 4 | 6, protocol: 'TCP' | 'UDP', from: End = 'member'): Generator<Case> {
    const group = from === 'inBlock' ? 'new by a prefix' : protocol === 'TCP' ? 'new, allowed' : 'new, allowed, UDP';
    const rest = { protocol, fresh: true } as const;
    if (from === 'member') {
      yield this.#plain(group, 'from_pod', { from: 'opener', to: 'opened', family }, rest);
      yield this.#plain(group, 'to_pod', { from: 'opener', to: 'opened', family }, rest);
    }
    yield this.#plain(group, 'to_pod', { from, to: 'opened', family }, rest);
    yield this.#plain(group, 'to_node', { from: 'opener', to: from, family }, rest);
  }

  /** Where entries of UDP were lost lately. */
  *askingUdp(family: 4 | 6): Generator<Case> {
    const rest = { protocol: 'UDP', fresh: true, variant: 'asking' } as const;
    const group = 'new, UDP, conntrack asked';
    yield this.#plain(group, 'from_pod', { from: 'opener', to: 'opened', family }, rest);
    yield this.#plain(group, 'to_pod', { from: 'member', to: 'opened', family }, rest);
  }

  *drops(family: 4 | 6, variant: Variant, group: Group): Generator<Case> {
    const rest = { variant, passes: false, flags: 'syn' } as const;
    yield this.#plain(group, 'to_pod', { from: 'other', to: 'server', family }, rest);
    yield this.#plain(group, 'to_pod', { from: 'stranger', to: 'server', family }, rest);
    yield this.#plain(group, 'to_pod', { from: 'client', to: 'free', family }, rest);
    yield this.#plain(group, 'to_node', { from: 'client', to: 'stranger', family }, rest);
  }

  *otherDrops(family: 4 | 6): Generator<Case> {
    for (const rest of [{ protocol: 'UDP' }, { protocol: 'UDP', variant: 'asking' }, { flags: 'ack' }] as const) {
      const group = 'flags' in rest || 'variant' in rest ? 'drop, conntrack asked' : 'drop, UDP';
      yield this.#plain(group, 'to_pod', { from: 'stranger', to: 'server', family }, { ...rest, passes: false });
      yield this.#plain(group, 'to_node', { from: 'client', to: 'stranger', family }, { ...rest, passes: false });
    }
  }

  /** None of them is among what was looked up lately. */
  *strangers(from: End): Generator<Case> {
    const plain = this.#plain(
      'drop, ever other sources',
      'to_pod',
      { from, to: 'server', family: 4 },
      {
        passes: false,
        flags: 'syn',
      },
    );
    const [shot] = plain.shots as [Shot];
    const cb = [0, FRESH_PORTS, 0, LOW_SOURCE_PLACE, 0];
    yield { ...plain, fresh: true, shots: [{ ...shot, program: 'drive_to_pod', context: { ...shot.context, cb } }] };
  }

  *prefixes(): Generator<Case> {
    const family = 4;
    const rest = { passes: false, flags: 'syn' } as const;
    yield this.#plain('drop by a prefix', 'to_pod', { from: 'besideBlock', to: 'server', family }, rest);
    yield this.#plain('drop by a prefix', 'to_node', { from: 'client', to: 'besideBlock', family }, rest);
    yield* this.fresh(family, 'TCP', 'inBlock');
  }

  *unisolated(family: 4 | 6): Generator<Case> {
    const group = 'under no policy';
    yield this.#plain(group, 'from_pod', { from: 'free', to: 'other', family });
    yield this.#plain(group, 'to_pod', { from: 'free', to: 'other', family });
    yield this.#plain(group, 'to_pod', { from: 'stranger', to: 'free', family });
    yield this.#plain(group, 'to_node', { from: 'free', to: 'stranger', family });
  }

  /** Established connections of every pod of the crowd, `active` of its `flows` each. */
  *crowd(flows: number, active: number): Generator<Case> {
    const testbed = this.#testbed;
    const peer = addressOfEnd('member', 4, testbed.size);
    const shots = testbed.crowd.map(({ index, address }): Shot => {
      const syn: Packet = { from: peer, to: address, ports: PORTS, flags: 'syn' };
      const ifindex = testbed.ifindexOf(index);
      const fill = this.#driven(syn, { mark: 0, ports: 4096, next: active });
      if (flows > active) {
        testbed.program('quiet', 'drive_to_pod').testRun({
          packet: frameOf(syn),
          repeat: flows - active,
          context: { ...fill, ifindex, ingressIfindex: 1 },
        });
      }
      for (let port = 0; port < active; port++) {
        const made = { ...syn, ports: [port, PORTS[1]] } as const;
        testbed.pass('to_pod', frameOf(made), { ifindex, ingressIfindex: 1 });
        const answer: Packet = { from: address, to: peer, ports: [PORTS[1], port], flags: 'synAck' };
        testbed.pass('from_pod', frameOf(answer), { ifindex });
      }
      const context = { ...this.#driven(syn, { mark: 0, ports: active, next: 0 }), ifindex, ingressIfindex: 1 };
      const packet = frameOf({ ...syn, flags: 'ack' });
      return { testbed, variant: 'quiet', program: 'drive_to_pod', packet, context };
    });
    const name = `from another node, 1,000 active`;
    yield {
      group: 'established',
      name,
      family: 4,
      hook: 'to_pod',
      scale: this.#scale,
      shots,
      passes: true,
      repeat: 64,
      fresh: false,
    };
  }

  /** A connection by its first three packets, at every hook that they pass. */
  #connect({ from, to, family }: Way): void {
    const steps = [
      { way: { from, to, family }, flags: 'syn', reply: false },
      { way: { from: to, to: from, family }, flags: 'synAck', reply: true },
      { way: { from, to, family }, flags: 'ack', reply: false },
    ] as const;
    for (const { way, flags, reply } of steps) {
      const packet = frameOf({ ...this.#packet(way, reply), flags });
      const mark = this.#leave(way, packet);
      if (this.#testbed.isLocal(way.to)) this.#testbed.pass('to_pod', packet, this.#context('to_pod', way, mark));
      else this.#testbed.pass('drive_to_node', packet, this.#context('to_node', way, mark));
    }
  }

  /** @returns the mark that the sender's own hook gives */
  #leave({ from }: Way, packet: Uint8Array): number {
    if (!this.#testbed.isLocal(from)) return 0;
    return this.#testbed.pass('from_pod', packet, { ifindex: this.#testbed.ifindexOf(from) });
  }

  #packet({ from, to, family }: Way, reply: boolean): Packet {
    const { size } = this.#testbed;
    const ports = reply ? ([PORTS[1], PORTS[0]] as const) : PORTS;
    return { from: addressOfEnd(from, family, size), to: addressOfEnd(to, family, size), ports };
  }

  #context(hook: Hook, { from, to }: Way, mark: number): SkbContext {
    const outside = this.#testbed.ifindexOf('other');
    const sender = this.#testbed.isLocal(from) ? this.#testbed.ifindexOf(from) : outside;
    if (hook === 'from_pod') return { ifindex: sender };
    const receiver = hook === 'to_pod' ? this.#testbed.ifindexOf(to as LocalPod) : outside;
    const cb = [mark, 0, 0, 0, 0];
    return { ifindex: receiver, ingressIfindex: sender, mark, cb };
  }

  #driven(packet: Packet, { mark, ports, next }: { mark: number; ports: number; next: number }): SkbContext {
    return { mark, cb: [mark, ports, next, portPlace(packet), 0] };
  }

  #plain(group: Group, hook: Hook, way: Way, options: PlainOptions = {}): Case {
    const { reply = false, fresh = false, protocol = 'TCP', passes = true, variant = 'quiet' } = options;
    const flags = options.flags ?? (fresh ? 'syn' : 'ack');
    const testbed = this.#testbed;
    const plain = this.#packet(way, reply);
    const to = protocol === 'UDP' && !reply ? 53 : plain.ports[1];
    const packet: Packet = { ...plain, ports: [plain.ports[0], to], protocol, flags };
    const mark = this.#markOf(way, reply);
    const context = this.#context(hook, way, mark);
    const driven = fresh || hook === 'to_node';
    const cb = [mark, fresh ? FRESH_PORTS : 0, 0, portPlace(packet), 0];
    const frame = frameOf(packet);
    const shot: Shot = {
      testbed,
      variant,
      program: driven ? `drive_${hook}` : (hook as 'from_pod' | 'to_pod'),
      packet: frame,
      context: { ...context, cb },
    };
    const prepare = fresh && hook === 'to_node' ? this.#opener(way, frame, packet) : undefined;
    return {
      group,
      name: nameOf(way, testbed, { ...options, protocol, flags }),
      family: way.family,
      hook,
      scale: this.#scale,
      shots: [shot],
      passes,
      repeat: fresh ? 2_000 : variant === 'telling' ? 4_000 : REPEAT,
      fresh,
      ...(variant === 'asking' && { first: FRESH_PORTS / 2 }),
      ...(prepare !== undefined && { prepare }),
    };
  }

  /** Makes the sender's entries of the next packets that are to leave the node. */
  #opener(way: Way, packet: Uint8Array, { from, to, ports }: Packet): (first: number) => void {
    const testbed = this.#testbed;
    const ifindex = testbed.ifindexOf(way.from as LocalPod);
    return (first) => {
      const cb = [0, FRESH_PORTS, first, portPlace({ from, to, ports }), 0];
      testbed.program('quiet', 'drive_from_pod').testRun({ packet, repeat: 2_000, context: { ifindex, cb } });
    };
  }

  #markOf({ from, family }: Way, reply: boolean): number {
    if (!this.#testbed.isLocal(from)) return 0;
    const probe = {
      from: addressOfEnd(from, family, this.#testbed.size),
      to: addressOfEnd('stranger', family, this.#testbed.size),
    };
    const packet = frameOf({ ...probe, ports: [1, 1] });
    const mark = this.#testbed.pass('from_pod', packet, { ifindex: this.#testbed.ifindexOf(from) });
    return (mark | (reply ? REPLY : 0)) >>> 0;
  }
}

interface PlainOptions {
  readonly reply?: boolean;
  readonly fresh?: boolean;
  readonly passes?: boolean;
  readonly variant?: Variant;
  readonly protocol?: 'TCP' | 'UDP';
  readonly flags?: Packet['flags'];
}

function reversed({ from, to, family }: Way): Way {
  return { from: to, to: from, family };
}

function nameOf({ from, to }: Way, testbed: Testbed, { reply = false, protocol, flags }: PlainOptions): string {
  const ends = testbed.isLocal(from)
    ? testbed.isLocal(to)
      ? 'within the node'
      : 'to another node'
    : 'from another node';
  const egress = from === 'client' && to === 'free' ? ', by egress' : '';
  const kind =
    protocol === 'UDP' ? ', UDP' : flags === 'ack' && to === 'server' && from === 'stranger' ? ', mid-stream' : '';
  return `${reply ? 'reply ' : ''}${ends}${egress}${kind}`;
}
