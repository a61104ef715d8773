/** All maps of the two copies with the keys and values that user space thinks in; bytes are made after the object's layout. */
import { type Address, addressBytes, addressOf, type Family, type Prefix, splitPrefix } from '../../model/address.ts';
import type { Abi } from './abi.ts';
import { MACHINE_IS_LITTLE } from './struct-codec.ts';
import { Table, type TableCodec } from './table.ts';

export interface IpcacheEntry {
  readonly identity: number;
  readonly ownNode: boolean;
}

/** An extent of the `ports` map. */
export interface Extent {
  readonly first: number;
  readonly count: number;
}

/** One range of ports that a rule admits; `protocol` is an IP protocol or one of enum port_protocol. */
export interface AdmittedRange {
  readonly protocol: number;
  readonly from: number;
  readonly to: number;
  readonly rule: number;
}

export interface SlotEntry {
  /** 0: no endpoint. */
  readonly slot: number;
  readonly pending: 'open' | 'closed';
}

export interface EndpointRecord {
  readonly ifindex: number;
  readonly address4?: Address;
  readonly address6?: Address;
  readonly linkLocal6?: Address;
  /** Those that the ipcache has for the addresses. */
  readonly identity4: number;
  readonly identity6: number;
  /** 0: not isolated. */
  readonly ingress: number;
  readonly egress: number;
}

export interface Settings {
  readonly pending: 'open' | 'closed';
  readonly judgeOwnNode: boolean;
}

/** (ruleset, identity) as one number: rulesets are far fewer than 2^21. */
export type PolicyKey = number & { readonly __policyKey: unique symbol };

export function policyKey(ruleset: number, identity: number): PolicyKey {
  return (ruleset * 2 ** 32 + identity) as PolicyKey;
}

export function splitPolicyKey(key: PolicyKey): { ruleset: number; identity: number } {
  return { ruleset: Math.floor(key / 2 ** 32), identity: key % 2 ** 32 };
}

export type Tables = ReturnType<typeof makeTables>;

export function makeTables(abi: Abi) {
  return {
    settings: new Table(settingsCodec(abi)),
    slots: new Table(slotsCodec(abi, 'slots')),
    slots_beyond: new Table(slotsCodec(abi, 'slots_beyond')),
    endpoints: new Table(endpointsCodec(abi)),
    ipcache4: new Table(ipcacheCodec(abi, 4)),
    ipcache6: new Table(ipcacheCodec(abi, 6)),
    cidrs4: new Table(cidrsCodec(abi, 4)),
    cidrs6: new Table(cidrsCodec(abi, 6)),
    policy: new Table(policyCodec(abi)),
    ports: new Table(portsCodec(abi)),
  };
}

/** Keys of array maps, in the machine's byte order. */
const INDEX = {
  keySize: 4,
  writeKey: (key: number, into: DataView, at: number) => into.setUint32(at, key, MACHINE_IS_LITTLE),
  decodeKey: u32Of,
} as const;

const PENDING = { open: 'PENDING_OPEN', closed: 'PENDING_CLOSED' } as const;

function settingsCodec({ codecs, numbers }: Abi): TableCodec<number, Settings> {
  return {
    name: 'settings',
    kind: 'array',
    ...INDEX,
    valueSize: codecs.settings.size,
    writeValue: ({ pending, judgeOwnNode }, into, at) =>
      codecs.settings.write({ pending: numbers[PENDING[pending]], judge_own_node: judgeOwnNode ? 1 : 0 }, into, at),
    decodeValue: (bytes) => {
      const record = codecs.settings.decode(bytes);
      return {
        pending: record.pending === numbers.PENDING_CLOSED ? 'closed' : 'open',
        judgeOwnNode: record.judge_own_node !== 0,
      };
    },
    same: (a, b) => a.pending === b.pending && a.judgeOwnNode === b.judgeOwnNode,
  };
}

function slotsCodec({ codecs, numbers }: Abi, name: 'slots' | 'slots_beyond'): TableCodec<number, SlotEntry> {
  return {
    name,
    kind: name === 'slots' ? 'array' : 'hash',
    ...INDEX,
    valueSize: codecs.slot.size,
    writeValue: ({ slot, pending }, into, at) =>
      codecs.slot.write({ slot, pending: numbers[PENDING[pending]] }, into, at),
    decodeValue: (bytes) => {
      const record = codecs.slot.decode(bytes);
      return {
        slot: Number(record.slot),
        pending: record.pending === numbers.PENDING_CLOSED ? 'closed' : 'open',
      };
    },
    same: (a, b) => a.slot === b.slot && a.pending === b.pending,
  };
}

function endpointsCodec({ codecs, numbers }: Abi): TableCodec<number, EndpointRecord> {
  const flagOf = {
    address4: numbers.ENDPOINT_HAS_IPV4,
    address6: numbers.ENDPOINT_HAS_IPV6,
    linkLocal6: numbers.ENDPOINT_HAS_LINK_LOCAL,
  };
  const fields = ['address4', 'address6', 'linkLocal6'] as const;
  return {
    name: 'endpoints',
    kind: 'array',
    ...INDEX,
    valueSize: codecs.endpoint.size,
    writeValue: (endpoint, into, at) => {
      const record = {
        ifindex: endpoint.ifindex,
        flags: fields.reduce((flags, field) => flags | (endpoint[field] === undefined ? 0 : flagOf[field]), 0),
        ingress_ruleset: endpoint.ingress,
        egress_ruleset: endpoint.egress,
        identity4: endpoint.identity4,
        identity6: endpoint.identity6,
        address4: bytesOr(endpoint.address4, 4),
        address6: bytesOr(endpoint.address6, 16),
        link_local6: bytesOr(endpoint.linkLocal6, 16),
      };
      codecs.endpoint.write(record, into, at);
    },
    decodeValue: (bytes) => {
      const record = codecs.endpoint.decode(bytes);
      const has = (flag: number): boolean => (Number(record.flags) & flag) !== 0;
      return {
        ifindex: Number(record.ifindex),
        ...(has(flagOf.address4) && { address4: addressOf(record.address4 as Uint8Array) }),
        ...(has(flagOf.address6) && { address6: addressOf(record.address6 as Uint8Array) }),
        ...(has(flagOf.linkLocal6) && { linkLocal6: addressOf(record.link_local6 as Uint8Array) }),
        identity4: Number(record.identity4),
        identity6: Number(record.identity6),
        ingress: Number(record.ingress_ruleset),
        egress: Number(record.egress_ruleset),
      };
    },
    same: (a, b) =>
      a.ifindex === b.ifindex &&
      a.ingress === b.ingress &&
      a.egress === b.egress &&
      a.identity4 === b.identity4 &&
      a.identity6 === b.identity6 &&
      fields.every((field) => a[field] === b[field]),
  };
}

function ipcacheCodec({ codecs, numbers }: Abi, family: Family): TableCodec<Address, IpcacheEntry> {
  const key = family === 4 ? codecs.ipcache4_key : codecs.ipcache6_key;
  return {
    name: `ipcache${family}`,
    kind: 'hash',
    keySize: key.size,
    writeKey: (address, into, at) => key.write({ address: addressBytes(address) }, into, at),
    decodeKey: (bytes) => addressOf(key.decode(bytes).address as Uint8Array),
    valueSize: codecs.ipcache_entry.size,
    writeValue: ({ identity, ownNode }, into, at) =>
      codecs.ipcache_entry.write({ identity, flags: ownNode ? numbers.ADDRESS_OWN_NODE : 0 }, into, at),
    decodeValue: (bytes) => {
      const record = codecs.ipcache_entry.decode(bytes);
      return { identity: Number(record.identity), ownNode: record.flags === numbers.ADDRESS_OWN_NODE };
    },
    same: (a, b) => a.identity === b.identity && a.ownNode === b.ownNode,
  };
}

function cidrsCodec({ codecs }: Abi, family: Family): TableCodec<Prefix, number> {
  const key = family === 4 ? codecs.cidr4_key : codecs.cidr6_key;
  return {
    name: `cidrs${family}`,
    kind: 'hash',
    keySize: key.size,
    writeKey: (prefix, into, at) => {
      const { address, length } = splitPrefix(prefix);
      key.write({ length, address: addressBytes(address) }, into, at);
    },
    decodeKey: (bytes) => {
      const record = key.decode(bytes);
      return `${addressOf(record.address as Uint8Array)}/${record.length}` as Prefix;
    },
    valueSize: codecs.cidr_entry.size,
    writeValue: (identity, into, at) => codecs.cidr_entry.write({ identity }, into, at),
    decodeValue: (bytes) => Number(codecs.cidr_entry.decode(bytes).identity),
    same: (a, b) => a === b,
  };
}

function policyCodec({ codecs }: Abi): TableCodec<PolicyKey, Extent> {
  return {
    name: 'policy',
    kind: 'hash',
    keySize: codecs.policy_key.size,
    writeKey: (key, into, at) => codecs.policy_key.write(splitPolicyKey(key), into, at),
    decodeKey: (bytes) => {
      const { ruleset, identity } = codecs.policy_key.decode(bytes);
      return policyKey(Number(ruleset), Number(identity));
    },
    valueSize: codecs.policy_entry.size,
    writeValue: ({ first, count }, into, at) => codecs.policy_entry.write({ first, count }, into, at),
    decodeValue: (bytes) => {
      const { first, count } = codecs.policy_entry.decode(bytes);
      return { first: Number(first), count: Number(count) };
    },
    same: (a, b) => a.first === b.first && a.count === b.count,
  };
}

function portsCodec({ codecs, numbers }: Abi): TableCodec<number, AdmittedRange> {
  return {
    name: 'ports',
    kind: 'pool',
    ...INDEX,
    valueSize: codecs.port_range.size,
    writeValue: (range, into, at) => codecs.port_range.write({ ...range, verdict: numbers.VERDICT_ALLOW }, into, at),
    decodeValue: (bytes) => {
      const { protocol, from, to, rule } = codecs.port_range.decode(bytes);
      return { protocol: Number(protocol), from: Number(from), to: Number(to), rule: Number(rule) };
    },
    same: (a, b) => a.rule === b.rule && a.from === b.from && a.to === b.to && a.protocol === b.protocol,
  };
}

/** As a key of an array map. */
export function u32Bytes(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

export function u32Of(bytes: Uint8Array): number {
  // Not slice: a Buffer's is a view of some larger buffer.
  return new Uint32Array(Uint8Array.from(bytes.subarray(0, 4)).buffer)[0] as number;
}

function bytesOr(address: Address | undefined, length: number): Uint8Array {
  return address === undefined ? new Uint8Array(length) : addressBytes(address);
}
