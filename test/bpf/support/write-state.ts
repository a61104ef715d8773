// A small state -> records in the maps of one copy, as the data plane writes them.
import type { StructName } from '../../../src/dataplane/bpf/abi.ts';
import type { FieldValue } from '../../../src/dataplane/bpf/struct-codec.ts';
import { u32Bytes } from '../../../src/dataplane/bpf/tables.ts';
import { address } from './frames.ts';
import type { PacketPath } from './packet-path.ts';
import { ENDPOINTS, type EndpointName, IDENTITIES, OWN_NODE, type State } from './state.ts';

type Put = (map: string, key: Uint8Array, struct: StructName, record: Readonly<Record<string, FieldValue>>) => void;

/** @param side the copy, whose maps with keys that may be absent are empty */
export function writeState(path: PacketPath, state: State, side: string): void {
  const put: Put = (map, key, struct, record) =>
    path.object.map(`${map}_${side}`).set(key, path.encode(struct, record));
  writeEndpoints(path, state, put);
  writeAddresses(path, state, put);
  writePolicy(path, state, put);
  put('settings', u32Bytes(0), 'settings', {
    pending: path.number(`PENDING_${state.pending ?? 'UNSET'}`),
    judge_own_node: state.judgeOwnNode ? 1 : 0,
  });
}

function writeEndpoints(path: PacketPath, state: State, put: Put): void {
  for (const [name, { slot, ipv4, ipv6, linkLocal, identity }] of Object.entries(ENDPOINTS)) {
    const isolated = state.endpoints?.[name as EndpointName] ?? {};
    const ifindex = path.ifindex(name as EndpointName);
    const absent = isolated.absent === true;
    put('slots', u32Bytes(ifindex), 'slot', { slot: absent ? 0 : slot, pending: 0 });
    put('endpoints', u32Bytes(slot), 'endpoint', {
      ifindex: absent ? 0 : ifindex,
      flags: ['IPV4', 'IPV6', 'LINK_LOCAL'].reduce((flags, one) => flags | path.number(`ENDPOINT_HAS_${one}`), 0),
      ingress_ruleset: isolated.ingress ?? 0,
      egress_ruleset: isolated.egress ?? 0,
      address4: address(ipv4),
      identity4: identity,
      identity6: identity,
      address6: address(ipv6),
      link_local6: address(linkLocal),
    });
  }
  put('slots', u32Bytes(path.ifindex('new')), 'slot', {
    slot: 0,
    pending: path.number(`PENDING_${state.pendingOfNew ?? 'UNSET'}`),
  });
}

function writeAddresses(path: PacketPath, state: State, put: Put): void {
  const pods = Object.values(ENDPOINTS).flatMap(({ ipv4, ipv6, identity }) => [
    { text: ipv4, identity, flags: 0 },
    { text: ipv6, identity, flags: 0 },
  ]);
  const own = OWN_NODE.map((text) => ({ text, identity: 0, flags: path.number('ADDRESS_OWN_NODE') }));
  const more = (state.addresses ?? []).map(({ text, peer }) => ({ text, identity: IDENTITIES[peer], flags: 0 }));
  for (const { text, identity, flags } of [...pods, ...own, ...more]) {
    const family = text.includes(':') ? 6 : 4;
    const key = path.encode(`ipcache${family}_key`, { address: address(text) });
    put(`ipcache${family}`, key, 'ipcache_entry', { identity, flags });
  }
  for (const { prefix, peer } of state.cidrs ?? []) {
    const [text, length] = prefix.split('/') as [string, string];
    const family = text.includes(':') ? 6 : 4;
    const key = path.encode(`cidr${family}_key`, { length: Number(length), address: address(text) });
    put(`cidrs${family}`, key, 'cidr_entry', { identity: IDENTITIES[peer] });
  }
}

function writePolicy(path: PacketPath, state: State, put: Put): void {
  let first = 0;
  for (const { ruleset, peer, ports } of state.rows ?? []) {
    for (const [index, { protocol, from, to, verdict, rule }] of ports.entries()) {
      put('ports', u32Bytes(first + index), 'port_range', {
        from,
        to,
        protocol,
        verdict: verdict === 'deny' ? 0 : 1,
        rule,
      });
    }
    const key = path.encode('policy_key', { ruleset, identity: IDENTITIES[peer] });
    put('policy', key, 'policy_entry', { first, count: ports.length });
    first += ports.length;
  }
}
