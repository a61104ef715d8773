/** Packets that our rules copied to a group of NFLOG -> drops, in the words in which the BPF data plane tells of its own. */
import type { Address } from '../../model/address.ts';
import type { Direction, ObjectKey } from '../../model/cluster.ts';
import type { VerdictEvent, VerdictReason } from '../../model/verdict-event.ts';
import type { NflogPacket } from '../../native.ts';
import type { DesiredState } from '../contract.ts';
import { rulesetName } from './names.ts';
import { type PacketEnds, packetEnds } from './packet-ends.ts';

/** Rulesets that are remembered: a drop may be read when its ruleset is gone. */
const REMEMBERED = 4096;
const ETHERNET = 14;
const IP: readonly number[] = [0x0800, 0x86dd];
const ARP = 0x0806;
const SPOKEN: Readonly<Record<string, readonly [VerdictReason, Direction]>> = {
  'pending:egress': ['drop-pending', 'egress'],
  'pending:ingress': ['drop-pending', 'ingress'],
  destination: ['drop-destination', 'ingress'],
  router: ['drop-router', 'egress'],
  neighbour: ['drop-neighbour', 'egress'],
  vlan: ['drop-vlan', 'egress'],
};

export class DropDecoder {
  readonly #policies = new Map<string, readonly ObjectKey[]>();
  #byAddress: ReadonlyMap<Address, ObjectKey> = new Map();
  #byLink: ReadonlyMap<number, ObjectKey> = new Map();
  #links: ReadonlyMap<ObjectKey, number> = new Map();

  /** What names mean from now on. */
  follow({ compiled, bindings }: Pick<DesiredState, 'compiled' | 'bindings'>): void {
    for (const { id, policies } of compiled.rulesets.values()) {
      const name = rulesetName(id);
      this.#policies.delete(name);
      this.#policies.set(name, policies);
    }
    for (const name of this.#policies.keys()) {
      if (this.#policies.size <= Math.max(REMEMBERED, compiled.rulesets.size)) break;
      this.#policies.delete(name);
    }
    const bound = [...bindings.values()].filter((binding) => binding.kind === 'endpoint');
    this.#byLink = new Map(bound.map(({ link, pod }) => [link.ifindex, pod]));
    this.#links = new Map(bound.map(({ link, pod }) => [pod, link.ifindex]));
    const owned = bound.flatMap(({ pod, linkLocal }) => {
      const addresses = compiled.endpoints.get(pod)?.addresses ?? [];
      return [...addresses, ...linkLocal].map((address) => [address, pod] as const);
    });
    this.#byAddress = new Map(owned);
  }

  /** Undefined for what is not of our rules. */
  event(packet: NflogPacket, generation: bigint): VerdictEvent | undefined {
    const [kind, ...words] = packet.prefix.split(':');
    if (kind !== 'policy' && kind !== 'guard') return undefined;
    const { ethertype } = packet;
    const { length, ...ends } = IP.includes(ethertype) ? packetEnds(packet.payload) : NO_ENDS;
    const common = {
      time: process.hrtime.bigint(),
      generation,
      verdict: 'deny',
      ...ends,
      ethertype,
      length: ETHERNET + (length === 0 ? packet.payload.length : length),
    } as const;
    return kind === 'policy'
      ? { ...common, ...this.#policyDrop(words, ends, packet) }
      : { ...common, ...this.#guardDrop(words.join(':'), packet) };
  }

  #policyDrop(
    [direction, way, ruleset = '']: readonly string[],
    { source, destination }: Pick<PacketEnds, 'source' | 'destination'>,
    packet: NflogPacket,
  ) {
    // A reply is judged as the request that it answers, its ends exchanged.
    const own = (direction === 'egress') === (way === 'request') ? source : destination;
    const pod = own === undefined ? undefined : this.#byAddress.get(own);
    const peer = own === source ? destination : source;
    const local = peer !== undefined && this.#byAddress.has(peer);
    return {
      reason: 'drop-policy',
      direction: direction as Direction,
      hook: direction === 'ingress' || local ? 'to-pod' : 'to-node',
      ifindex: (pod && this.#links.get(pod)) ?? linkOf(packet, direction === 'ingress'),
      ...(pod !== undefined && { pod }),
      policies: this.#policies.get(ruleset) ?? [],
    } as const;
  }

  #guardDrop(word: string, packet: NflogPacket) {
    const [reason, direction] = SPOKEN[word] ?? [sourceReason(packet.ethertype), 'egress'];
    const ifindex = linkOf(packet, direction === 'ingress');
    const pod = this.#byLink.get(ifindex);
    const hook = direction === 'ingress' ? 'to-pod' : 'from-pod';
    return { reason, direction, hook, ifindex, ...(pod !== undefined && { pod }), policies: [] } as const;
  }
}

const NO_ENDS: PacketEnds = { sourcePort: 0, destinationPort: 0, protocol: 0, length: 0 };

/** Behind a bridge it is the port that counts. */
function linkOf({ input, output, inputPort, outputPort }: NflogPacket, outward: boolean): number {
  return (outward ? (outputPort ?? output) : (inputPort ?? input)) ?? 0;
}

/** What may send from no address of its pod: which kind of sender it is. */
function sourceReason(ethertype: number): VerdictReason {
  if (ethertype === ARP) return 'drop-arp';
  return IP.includes(ethertype) ? 'drop-source' : 'drop-ethertype';
}
