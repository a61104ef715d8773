/**
 * The compiled programs over maps of a small state, in a network namespace of their own: whole states are written to the
 * idle copy and put in force as the agent does, packets go through by test-run, events tell the reasons.
 */
import { createHash } from 'node:crypto';
import { abiOf } from '../../../src/dataplane/bpf/abi.ts';
import { readCounts } from '../../../src/dataplane/bpf/counts.ts';
import { type FieldValue, StructCodec } from '../../../src/dataplane/bpf/struct-codec.ts';
import { u32Bytes } from '../../../src/dataplane/bpf/tables.ts';
import { BpfMap, BpfObject, type MappedMap, RingBuffer } from '../../../src/native.ts';
import { FlowEntries, type FlowEntry, type FlowRecord } from '../../support/kernel/flow-entries.ts';
import { TestNamespace } from '../../support/kernel/test-namespace.ts';
import { ENDPOINTS, type EndpointName, type State } from './state.ts';
import type { Hook, Outcome, Sent } from './test-run.ts';
import { writeState } from './write-state.ts';

const OBJECT = new URL('../../../build/policy.bpf.o', import.meta.url).pathname;
const SIDES = ['left', 'right'] as const;
const CONTINUE = -1;
const SHOT = 2;
/** The default of the C source. */
const MARK_SHIFT = 16;
const MARK_REPLY = 1 << 14;
const FLOW_SET_BITS = 6;
/** Larger than any state here, to be quick to make and to clear. */
const SIZES = { slots: 4096, endpoints: 16, ports: 256, ipcache4: 64, ipcache6: 64, cidrs4: 4096, cidrs6: 4096 };

export interface PathOptions {
  /** u32 constants of the programs. */
  readonly rodata?: Readonly<Record<string, number>>;
  readonly object?: string;
  /** Sets of each flow table, as a power of 2. */
  readonly flowSetBits?: number;
  /** Another one whose tables of flows this one's programs use too, as in an upgrade; its states have numbers above. */
  readonly after?: PacketPath;
}

/** States of a test are fewer. */
const STATES_BEFORE = 1n << 20n;

export class PacketPath {
  readonly object: BpfObject;
  readonly namespace: TestNamespace;
  readonly #codecs: Map<string, StructCodec>;
  readonly #numbers: Readonly<Record<string, number>>;
  readonly #reasons: ReadonlyMap<number, string>;
  readonly #generation: MappedMap;
  readonly #tables = new Map<string, BpfMap>();
  readonly #ring: RingBuffer;
  readonly #flowSetBits: number;
  #events: Record<string, FieldValue>[] = [];
  #inForce = 0n;

  constructor(purpose: string, options: PathOptions = {}) {
    const { rodata = {}, object = OBJECT, flowSetBits = FLOW_SET_BITS, after } = options;
    this.#flowSetBits = flowSetBits;
    if (after !== undefined) this.#inForce = STATES_BEFORE;
    this.namespace = new TestNamespace(purpose, ['uplink', 'webv', 'apiv', 'dbv', 'newv']);
    this.object = BpfObject.open(object);
    this.#codecs = new Map([...this.object.layout.structs].map(([name, layout]) => [name, new StructCodec(layout)]));
    this.#numbers = abiOf(this.object.layout).numbers;
    const reasons = [...(this.object.layout.enums.get('reason') ?? [])];
    this.#reasons = new Map(reasons.map(([name, value]) => [Number(value), name.replace(/^REASON_(ALLOW|DROP)_/, '')]));
    for (const [name, size] of Object.entries(SIZES)) {
      for (const side of SIDES) this.object.setMaxEntries(`${name}_${side}`, size);
    }
    this.object.setMaxEntries('events', 65536);
    for (const name of ['flows4', 'flows6']) this.object.setInnerMaxEntries(name, 2 ** flowSetBits);
    this.object.setRodata('flow_set_bits', u32Bytes(flowSetBits));
    for (const [name, value] of Object.entries({ event_limit: 0, ...rodata }))
      this.object.setRodata(name, u32Bytes(value));
    this.object.load();
    this.seedFlows(1);
    this.#generation = this.object.map('generation').mmap();
    for (const { slot } of Object.values(ENDPOINTS)) {
      for (const family of [4, 6] as const) this.#addTable(slot, family, after);
    }
    this.#ring = new RingBuffer(this.object.map('events'), (record) => this.#events.push(this.decode('event', record)));
    this.#ring.unref();
  }

  /** Of a pod's interface, of one that no endpoint has, or of the way out. */
  ifindex(name: EndpointName | 'new' | 'uplink'): number {
    const index = ['uplink', 'web', 'api', 'db', 'new'].indexOf(name);
    return this.namespace.ifindexes[index] as number;
  }

  encode(struct: string, record: Readonly<Record<string, FieldValue>>): Uint8Array {
    return this.#codec(struct).encode(record);
  }

  decode(struct: string, bytes: Uint8Array): Record<string, FieldValue> {
    return this.#codec(struct).decode(bytes);
  }

  /** A number of bpf/abi.h by its name. */
  number(name: string): number {
    const value = this.#numbers[name] ?? this.#anyNumber(name);
    if (value === undefined) throw new Error(`no ${name} in the object`);
    return value;
  }

  get generation(): bigint {
    return this.#inForce;
  }

  /** Puts a whole state in force, under a new generation. */
  apply(state: State): void {
    const next = this.#inForce + 1n;
    const side = SIDES[Number(next & 1n)] as string;
    for (const name of ['policy', 'ipcache4', 'ipcache6', 'cidrs4', 'cidrs6'] as const) this.#empty(`${name}_${side}`);
    writeState(this, state, side);
    this.#inForce = next;
    this.#generation.store64(0, next);
  }

  run(hook: Hook, sent: Sent): Outcome {
    const { packet, ifindex, ingressIfindex = ifindex, mark = 0, gsoSize = 0 } = sent;
    this.#events = [];
    const context = { ifindex, ingressIfindex, mark, gsoSize };
    const result = this.namespace.run(() => this.object.program(hook).testRun({ packet, context }));
    if (result.returnValue !== CONTINUE && result.returnValue !== SHOT)
      throw new Error(`${hook}: ${result.returnValue}`);
    this.#ring.consume();
    const after = result.context?.mark ?? 0;
    const field = (after >>> MARK_SHIFT) & 0x7fff;
    return {
      passed: result.returnValue === CONTINUE,
      mark: after,
      slot: field & (MARK_REPLY - 1),
      reply: (field & MARK_REPLY) !== 0,
      reasons: this.#events.map((event) => this.#reasons.get(Number(event.reason)) ?? '?'),
      events: this.#events,
    };
  }

  /** The mark of a packet that this pod has sent. */
  markOf(name: EndpointName, reply = false): number {
    return (ENDPOINTS[name].slot | (reply ? MARK_REPLY : 0)) << MARK_SHIFT;
  }

  /** The entries of a pod's flow table. */
  flows(name: EndpointName, family: 4 | 6 = 4): FlowEntry[] {
    return [...this.#entries(name, family)];
  }

  /** Rewrites all entries of a pod's flow table. */
  changeFlows(name: EndpointName, change: (flow: FlowRecord, key: FlowRecord) => FlowRecord): void {
    for (const family of [4, 6] as const) this.#entries(name, family).change(change);
  }

  /** Makes all of a pod's flows look as if their last packet had come so many ticks earlier. */
  age(name: EndpointName, ticks: number): void {
    this.changeFlows(name, (flow) => ({ ...flow, seen: (Number(flow.seen) - ticks) >>> 0 }));
  }

  /** Numbers by which connections are placed in their tables, the same for the same seed. */
  seedFlows(seed: number): void {
    const size = this.object.map('flow_seed').info.valueSize;
    const numbers = createHash('shake256', { outputLength: size }).update(`${seed}`).digest();
    this.object.map('flow_seed').set(u32Bytes(0), numbers);
  }

  /** As if no UDP connection had been lost in a pod's table for as long as conntrack may know one. */
  settleFlows(name: EndpointName, family: 4 | 6 = 4): void {
    const table = this.flowTable(name, family);
    const offset = this.object.layout.structs
      .get(`flow${family}_set`)
      ?.members.find((one) => one.name === 'lost')?.offset;
    const [, sample] = table.entries().find(([, set]) => lostOf(set, offset).some((time) => time !== 0)) ?? [];
    if (sample === undefined) throw new Error('nobody has asked yet, so the time is not known');
    const long = Math.max(...lostOf(sample, offset)) - 4096;
    for (const [index, set] of table.entries()) {
      lostOf(set, offset).fill(long | 1);
      table.set(index, set);
    }
  }

  /** A pod's flow table itself. */
  flowTable(name: EndpointName, family: 4 | 6 = 4): BpfMap {
    return this.#tables.get(`${ENDPOINTS[name].slot} ${family}`) as BpfMap;
  }

  /** How often something did not fit, by its name in enum loss; on all CPUs together. */
  lost(name: string): number {
    const counts = this.object.map('losses').get(u32Bytes(this.number(name))) as Buffer;
    let sum = 0n;
    for (let at = 0; at < counts.length; at += 8) sum += counts.readBigUInt64LE(at);
    return Number(sum);
  }

  /** Takes all entries out, and leaves what else the tables know. */
  dropFlows(): void {
    for (const table of this.#tables.values()) new FlowEntries(table, this.object.layout).drop();
  }

  /** As if the tables had just been made. */
  forgetFlows(): void {
    for (const table of this.#tables.values()) new FlowEntries(table, this.object.layout).clear();
    this.#empty('fragments');
  }

  /** Packets counted, summed over CPUs, by `REASON/direction/rule`. */
  counts(ifindex: number): Map<string, number> {
    const counts = new Map<string, number>();
    const maps = { counters: this.object.map('counters'), tallies: this.object.map('tallies') };
    for (const [key, value] of readCounts(maps, abiOf(this.object.layout))) {
      const row = this.decode('counter_key', key);
      if (row.ifindex !== ifindex) continue;
      const direction = row.direction === this.number('DIRECTION_INGRESS') ? 'ingress' : 'egress';
      const name = `${this.#reasons.get(Number(row.reason))}/${direction}/${row.rule}`;
      const size = this.#codec('counter').size;
      for (let at = 0; at < value.length; at += size) {
        const { packets } = this.decode('counter', value.subarray(at, at + size));
        counts.set(name, (counts.get(name) ?? 0) + Number(packets));
      }
    }
    return counts;
  }

  close(): void {
    this.#ring.close();
    this.#generation.close();
    for (const table of this.#tables.values()) table.close();
    this.object.close();
    this.namespace.close();
  }

  #anyNumber(name: string): number | undefined {
    for (const names of this.object.layout.enums.values()) if (names.has(name)) return Number(names.get(name));
    return undefined;
  }

  #codec(struct: string): StructCodec {
    const codec = this.#codecs.get(struct);
    if (codec === undefined) throw new Error(`no struct ${struct} in the object`);
    return codec;
  }

  #empty(name: string): void {
    const map = this.object.map(name);
    for (const key of map.keys()) map.delete(key);
  }

  #addTable(slot: number, family: 4 | 6, after: PacketPath | undefined): void {
    const valueSize = this.#codec(`flow${family}_set`).size;
    const shape = { type: 'array', keySize: 4, valueSize, maxEntries: 2 ** this.#flowSetBits };
    const shared = after?.object.map(`flows${family}`).getInner(u32Bytes(slot));
    const table = shared ?? BpfMap.create(shape);
    this.object.map(`flows${family}`).setInner(u32Bytes(slot), table);
    this.#tables.set(`${slot} ${family}`, table);
  }

  #entries(name: EndpointName, family: 4 | 6): FlowEntries {
    return new FlowEntries(this.flowTable(name, family), this.object.layout);
  }
}

/** Both times of a set: of connections that the pod began, and the peer. */
function lostOf(set: Buffer, offset = 0): Uint16Array {
  return new Uint16Array(set.buffer, set.byteOffset + offset, 2);
}
