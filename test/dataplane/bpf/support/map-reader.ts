/**
 * What the packet path would say, read from nothing but the maps' bytes in the order that bpf/abi.h draws: generation,
 * slots, endpoints, ipcache, cidrs by the longest match, policy, ports.
 */

import type { CopiedMap, StructName } from '../../../../src/dataplane/bpf/abi.ts';
import { u32Bytes } from '../../../../src/dataplane/bpf/tables.ts';
import {
  type Address,
  addressBytes,
  addressOf,
  bitsOf,
  familyOf,
  prefixOf,
  splitPrefix,
} from '../../../../src/model/address.ts';
import type { FakeKernel } from './fake-kernel.ts';

export interface MapVerdict {
  readonly allowed: boolean;
  /** Number of the rule, 0 when none decided. */
  readonly rule: number;
}

/** Where to: one program run for each is played by one look-up of the ranges. */
export interface Port {
  /** IP protocol. */
  readonly protocol: number;
  readonly port: number;
}

export interface Packet {
  /** Interfaces of the two ends where they are pods of this node. */
  readonly from?: number;
  readonly to?: number;
  readonly source: Address;
  readonly destination: Address;
  readonly ports: readonly Port[];
}

/** A verdict for each of the packet's ports. Absent directions: the end is no endpoint. `pending`: an end is an interface without endpoint. */
export interface PacketVerdict {
  readonly egress?: readonly MapVerdict[];
  readonly ingress?: readonly MapVerdict[];
  readonly pending?: 'open' | 'closed' | 'unset';
}

const FREE: MapVerdict = { allowed: true, rule: 0 };
const HAS_PORTS = [6, 17, 132];

export class MapReader {
  readonly #kernel: FakeKernel;

  constructor(kernel: FakeKernel) {
    this.#kernel = kernel;
  }

  /** One run of the program: everything is read under one generation. */
  judge(packet: Packet): PacketVerdict {
    const from = this.#endpoint(packet.from);
    const to = this.#endpoint(packet.to);
    const pending = from?.pending ?? to?.pending;
    if (pending !== undefined) return { pending };
    const self = from !== undefined && from.slot === to?.slot;
    const free = packet.ports.map(() => FREE);
    return {
      ...(from && { egress: self ? free : this.#direction(from.egress, packet.destination, packet) }),
      ...(to && { ingress: self ? free : this.#direction(to.ingress, packet.source, packet) }),
    };
  }

  #direction(ruleset: number, peer: Address, packet: Packet): MapVerdict[] {
    const entry = this.#record(`ipcache${familyOf(peer)}`, this.#addressKey(peer), 'ipcache_entry');
    if (entry !== undefined && (Number(entry.flags) & this.#kernel.abi.numbers.ADDRESS_OWN_NODE) !== 0) {
      return packet.ports.map(() => FREE);
    }
    if (ruleset === 0) return packet.ports.map(() => FREE);
    const identity = entry === undefined ? this.#longestMatch(peer) : Number(entry.identity);
    const ranges = this.#ranges(ruleset, identity);
    return packet.ports.map((port) => this.#decide(ranges, port));
  }

  /** An endpoint's record says of its addresses what the ipcache says. */
  #checkIdentities(record: Record<string, unknown>): void {
    const { numbers } = this.#kernel.abi;
    for (const family of [4, 6] as const) {
      if ((Number(record.flags) & numbers[`ENDPOINT_HAS_IPV${family}`]) === 0) continue;
      const address = addressOf(record[`address${family}`] as Uint8Array);
      const entry = this.#record(`ipcache${family}`, this.#addressKey(address), 'ipcache_entry');
      if (entry?.identity !== record[`identity${family}`]) throw new Error(`${address}: two identities`);
    }
  }

  #ranges(ruleset: number, identity: number): Record<string, unknown>[] {
    const { codecs, numbers } = this.#kernel.abi;
    const row = (of: number) =>
      this.#record('policy', codecs.policy_key.encode({ ruleset, identity: of }), 'policy_entry');
    const extent = row(identity) ?? row(numbers.IDENTITY_WORLD);
    const ranges: Record<string, unknown>[] = [];
    for (let i = 0; i < Number(extent?.count ?? 0); i++) {
      const range = this.#record('ports', u32Bytes(Number(extent?.first) + i), 'port_range');
      if (range === undefined) throw new Error('a row refers to ports that were never written');
      ranges.push(range);
    }
    return ranges;
  }

  #decide(ranges: readonly Record<string, unknown>[], { protocol, port }: Port): MapVerdict {
    const { numbers } = this.#kernel.abi;
    for (const range of ranges) {
      const any = range.protocol === numbers.PORTS_ANY;
      const other = range.protocol === numbers.PORTS_OTHER && !HAS_PORTS.includes(protocol);
      const named = range.protocol === protocol && Number(range.from) <= port && port <= Number(range.to);
      if (any || other || named) return { allowed: range.verdict === numbers.VERDICT_ALLOW, rule: Number(range.rule) };
    }
    return { allowed: false, rule: 0 };
  }

  #longestMatch(address: Address): number {
    const family = familyOf(address);
    const codec = family === 4 ? this.#kernel.abi.codecs.cidr4_key : this.#kernel.abi.codecs.cidr6_key;
    if (this.#kernel.map(`cidrs${family}`, this.#kernel.inForce).elements.size === 0) return 0;
    for (let length = bitsOf(family) as number; length >= 0; length--) {
      const { address: network } = splitPrefix(prefixOf(address, length));
      const key = codec.encode({ length, address: addressBytes(network) });
      const entry = this.#record(`cidrs${family}`, key, 'cidr_entry');
      if (entry !== undefined) return Number(entry.identity);
    }
    return this.#kernel.abi.numbers.IDENTITY_WORLD;
  }

  #addressKey(address: Address): Uint8Array {
    const { codecs } = this.#kernel.abi;
    const codec = familyOf(address) === 4 ? codecs.ipcache4_key : codecs.ipcache6_key;
    return codec.encode({ address: addressBytes(address) });
  }

  #endpoint(ifindex: number | undefined) {
    if (ifindex === undefined) return undefined;
    const { numbers } = this.#kernel.abi;
    const map = ifindex < numbers.IFINDEX_ARRAY ? 'slots' : 'slots_beyond';
    const entry = this.#record(map, u32Bytes(ifindex), 'slot');
    const slot = Number(entry?.slot ?? 0);
    if (slot !== 0) {
      const record = this.#record('endpoints', u32Bytes(slot), 'endpoint');
      if (record?.ifindex !== ifindex) throw new Error(`slot ${slot} is of another interface than ${ifindex}`);
      this.#checkIdentities(record);
      return { slot, ingress: Number(record.ingress_ruleset), egress: Number(record.egress_ruleset) };
    }
    const settings = this.#record('settings', u32Bytes(0), 'settings');
    const pending = Number(entry?.pending ?? 0) || Number(settings?.pending ?? 0);
    const name = pending === numbers.PENDING_CLOSED ? 'closed' : pending === numbers.PENDING_OPEN ? 'open' : 'unset';
    return { slot, ingress: 0, egress: 0, pending: name } as const;
  }

  #record(map: CopiedMap, key: Uint8Array, struct: StructName) {
    const bytes = this.#kernel.map(map, this.#kernel.inForce).get(key);
    return bytes === undefined ? undefined : (this.#kernel.abi.codecs[struct].decode(bytes) as Record<string, unknown>);
  }
}
