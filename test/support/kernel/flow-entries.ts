/** An endpoint's table of connections, an array of sets, <-> its entries. */
import { endianness } from 'node:os';
import { type FieldValue, StructCodec } from '../../../src/dataplane/bpf/struct-codec.ts';
import type { BpfMap, Layout, StructLayout } from '../../../src/native.ts';

export type FlowRecord = Record<string, FieldValue>;

export interface FlowEntry {
  /** `peer`, the ports `peer_port` and `local_port`, `protocol`. */
  readonly key: FlowRecord;
  /** Of struct flow, and `origin` (enum flow_origin) and `translated` from its word. */
  readonly value: FlowRecord;
  /** Which one it stands in. */
  readonly set: number;
}

/** Two ports in network byte order, read as one number of the machine's. */
function portsOf(ports: number): { peer_port: number; local_port: number } {
  const bytes = Buffer.from(Uint32Array.of(ports).buffer);
  return { peer_port: bytes.readUInt16BE(0), local_port: bytes.readUInt16BE(2) };
}

/** Forgets all connections of a table. */
export function clearFlows(table: BpfMap): void {
  const { count, keys, values } = table.entriesBatch();
  // Compared by the machine: tests clear dozens of tables for each of thousands of packets.
  const empty = Buffer.alloc(values.length);
  if (!values.equals(empty)) table.setBatch(keys, empty, count);
}

interface Shape {
  readonly entry: StructCodec;
  readonly flow: StructCodec;
  /** Bytes: of the first entry in a set. */
  readonly offset: number;
  readonly ways: number;
}

export class FlowEntries {
  readonly #table: BpfMap;
  readonly #shape: Shape;
  readonly #judged: ReadonlyMap<string, bigint>;

  constructor(table: BpfMap, layout: Layout) {
    const structOf = (name: string) => layout.structs.get(name) as StructLayout;
    const family = table.info.valueSize === structOf('flow4_set').size ? 4 : 6;
    const ways = structOf(`flow${family}_set`).members.find(({ name }) => name === 'ways');
    this.#table = table;
    this.#shape = {
      entry: new StructCodec(structOf(`flow${family}`)),
      flow: new StructCodec(structOf('flow')),
      offset: ways?.offset ?? 0,
      ways: ways?.count ?? 0,
    };
    this.#judged = new Map([...(layout.enums.get('judged') ?? [])].map(([name, value]) => [name, BigInt(value)]));
  }

  /** Of all sets together. */
  get capacity(): number {
    return this.#table.info.maxEntries * this.#shape.ways;
  }

  /** Those in use, live or not. */
  *[Symbol.iterator](): Generator<FlowEntry> {
    for (const { index, set } of this.#sets())
      for (const at of this.#used(set)) yield { ...this.#decode(set, at), set: numberOf(index) };
  }

  get size(): number {
    return [...this].length;
  }

  /** Rewrites what stands in struct flow. */
  change(change: (flow: FlowRecord, key: FlowRecord) => FlowRecord): void {
    const { flow } = this.#shape;
    for (const { index, set } of this.#sets()) {
      const used = this.#used(set);
      if (used.length === 0) continue;
      for (const at of used) {
        const changed = change(flow.decode(set.subarray(at, at + flow.size)), this.#decode(set, at).key);
        set.set(flow.encode(changed), at);
      }
      this.#table.set(index, set);
    }
  }

  /** Takes the entries out, and leaves what else stands in the sets. */
  drop(): void {
    const { entry } = this.#shape;
    for (const { index, set } of this.#sets()) {
      for (const at of this.#used(set)) set.fill(0, at, at + entry.size);
      this.#table.set(index, set);
    }
  }

  /** As if it had just been made. */
  clear(): void {
    clearFlows(this.#table);
  }

  *#sets(): Generator<{ index: Buffer; set: Buffer }> {
    const { count, keys, values } = this.#table.entriesBatch();
    const size = this.#table.info.valueSize;
    for (let i = 0; i < count; i++) {
      const set = values.subarray(i * size, (i + 1) * size);
      if (set.some((byte) => byte !== 0)) yield { index: keys.subarray(i * 4, i * 4 + 4), set };
    }
  }

  /** Bytes at which entries in use begin. */
  #used(set: Buffer): number[] {
    const { entry, flow, offset, ways } = this.#shape;
    const places = Array.from({ length: ways }, (_, way) => offset + way * entry.size);
    return places.filter((at) => flow.decode(set.subarray(at, at + flow.size)).judged !== 0n);
  }

  #decode(set: Buffer, at: number): Omit<FlowEntry, 'set'> {
    const { entry, flow } = this.#shape;
    const { flow: bytes, ports, ...key } = entry.decode(set.subarray(at, at + entry.size));
    const value = flow.decode(bytes as Uint8Array);
    const bit = (name: string) => Number((BigInt(value.judged as bigint) >> (this.#judged.get(name) ?? 0n)) & 1n);
    return {
      key: { ...key, ...portsOf(Number(ports)), protocol: value.protocol as FieldValue },
      value: { ...value, origin: bit('JUDGED_BY_PEER_BIT') + 1, translated: bit('JUDGED_TRANSLATED_BIT') },
    };
  }
}

/** A key of the machine's byte order. */
function numberOf(key: Buffer): number {
  return endianness() === 'LE' ? key.readUInt32LE() : key.readUInt32BE();
}
