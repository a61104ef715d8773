/**
 * What must become of frames that one pod sends to another, worked out from what docs/semantics.md says of packets and from
 * the frames before: the first fragments and the connections that were admitted.
 */
import { addressOf } from '../../src/model/address.ts';
import { type Datagram, parseFrame, parseQuoted } from './reference-parser.ts';
import { type Family, type Member, PODS } from './support/cast.ts';

/** What policy admits from every peer: nothing, these TCP ports, or each port of each protocol. */
export type Admitted = 'nothing' | 'every protocol' | { readonly tcp: number };

export type Wanted = 'admit' | 'drop';

const [ICMP, TCP, UDP, ICMPV6, SCTP] = [1, 6, 17, 58, 132] as const;

interface Ports {
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
}

export class Reference {
  readonly #from: Member = PODS.guarded;
  readonly #to: Member = PODS.ward;
  readonly #admitted: Admitted;
  readonly #pieces = new Map<string, Ports>();
  readonly #flows = new Set<string>();

  constructor(admitted: Admitted) {
    this.#admitted = admitted;
  }

  /** Under policy at both ends. */
  judge(frame: Buffer): Wanted {
    const parsed = parseFrame(frame);
    if (parsed.kind === 'arp') return this.#isOwnArp(parsed.frame) ? 'admit' : 'drop';
    if (parsed.kind !== 'datagram') return 'drop';
    const received = this.#isOwn(this.#to, parsed.family, parsed.destination);
    if (!received && !isGroup(parsed)) return 'drop';
    const link = this.#judgeLink(parsed);
    if (link !== undefined) return link;
    if (!this.#isOwn(this.#from, parsed.family, parsed.source)) return 'drop';
    const ports = this.#portsOf(parsed);
    const admitted = this.#isRelated(parsed) || this.#policyAdmits(ports);
    if (!admitted) return 'drop';
    if (received && ports !== undefined && opens(parsed)) this.#flows.add(keyOf(parsed.family, parsed.source, ports));
    return 'admit';
  }

  #isOwn(member: Member, family: Family, address: string): boolean {
    return address === member.addresses[family] || (family === 6 && address === member.linkLocal);
  }

  #isOwnArp(frame: Buffer): boolean {
    if (frame.length < 42 || frame.subarray(14, 20).toString('hex') !== '000108000604') return false;
    if (!frame.subarray(6, 12).equals(frame.subarray(22, 28))) return false;
    const sender = [...frame.subarray(28, 32)].join('.');
    return sender === '0.0.0.0' || sender === this.#from.addresses[4];
  }

  /** Neighbour discovery and listener reports, which no policy judges; undefined for everything else. */
  #judgeLink(datagram: Datagram): Wanted | undefined {
    const { family, protocol, source, fragment, payload, hopLimit, extended } = datagram;
    if (family !== 6 || protocol !== ICMPV6 || fragment?.offset) return undefined;
    const type = payload[0] as number;
    const own = this.#isOwn(this.#from, 6, source);
    const unspecified = source === '::';
    if (hopLimit === 255 && type >= 133 && type <= 137) {
      if (fragment !== undefined || type === 134 || type === 137 || !(own || unspecified)) return 'drop';
      const target = payload.subarray(8, 24);
      const named = target.length === 16 && this.#isOwn(this.#from, 6, addressOf(target));
      if (type === 136 && (unspecified || !named)) return 'drop';
      if (type === 135 && unspecified && !named) return 'drop';
      if (!extended) return 'admit';
      return undefined;
    }
    const report = hopLimit === 1 && (type === 131 || type === 132 || type === 143);
    const local = unspecified || source === this.#from.linkLocal;
    return report && local && fragment === undefined ? 'admit' : undefined;
  }

  /** Undefined: of a piece whose first one was not seen. */
  #portsOf({ family, source, destination, protocol, fragment, payload }: Datagram): Ports | undefined {
    const key = fragment && [family, source, destination, fragment.id, fragment.named].join(' ');
    if (fragment?.offset) {
      const first = this.#pieces.get(key as string);
      if (first !== undefined || hasPorts(protocol) || isExtension(family, protocol)) return first;
      return { protocol, source: 0, destination: 0 };
    }
    const ports = readPorts(protocol, family, payload);
    if (key !== undefined) this.#pieces.set(key, ports);
    return ports;
  }

  #policyAdmits(ports: Ports | undefined): boolean {
    if (this.#admitted === 'nothing') return false;
    if (this.#admitted === 'every protocol') return true;
    return ports?.protocol === TCP && ports.destination === this.#admitted.tcp;
  }

  /** An error about an admitted connection of the receiver, from its peer. */
  #isRelated({ family, protocol, fragment, payload }: Datagram): boolean {
    if (protocol !== (family === 4 ? ICMP : ICMPV6) || fragment?.offset) return false;
    const errors = family === 4 ? [3, 4, 11, 12] : [1, 2, 3, 4];
    if (!errors.includes(payload[0] as number)) return false;
    const quoted = parseQuoted(family, payload.subarray(8));
    if (quoted === undefined || !this.#isOwn(this.#to, family, quoted.source)) return false;
    if (!this.#isOwn(this.#from, family, quoted.destination)) return false;
    return this.#flows.has(
      keyOf(family, quoted.destination, swapped(readPorts(quoted.protocol, family, quoted.payload))),
    );
  }
}

function swapped({ protocol, source, destination }: Ports): Ports {
  return { protocol, source: destination, destination: source };
}

/** Ports, or an echo's identifier as both; other protocols have none. */
function readPorts(protocol: number, family: Family, payload: Buffer): Ports {
  if (hasPorts(protocol)) return { protocol, source: payload.readUInt16BE(0), destination: payload.readUInt16BE(2) };
  const echoes = family === 4 ? [8, 0] : [128, 129];
  if (protocol === (family === 4 ? ICMP : ICMPV6) && echoes.includes(payload[0] as number)) {
    const identifier = payload.readUInt16BE(4);
    return { protocol, source: identifier, destination: identifier };
  }
  return { protocol, source: 0, destination: 0 };
}

/** Whether it begins a connection that answers, and errors, may be about. */
function opens({ protocol, family, fragment, payload }: Datagram): boolean {
  if (fragment?.offset) return false;
  if (protocol === TCP) return ((payload[13] as number) & 0b10111) === 0b10;
  if (protocol === SCTP) return payload[12] === 1;
  if (protocol === (family === 4 ? ICMP : ICMPV6)) return payload[0] === (family === 4 ? 8 : 128);
  return true;
}

function hasPorts(protocol: number): boolean {
  return protocol === TCP || protocol === UDP || protocol === SCTP;
}

function isExtension(family: Family, protocol: number): boolean {
  return family === 6 && [0, 43, 44, 60].includes(protocol);
}

/** Multicast, and IPv4's broadcast. */
function isGroup({ family, destination }: Datagram): boolean {
  if (family === 6) return destination.startsWith('ff');
  const first = Number(destination.split('.')[0]);
  return (first >= 224 && first < 240) || destination === '255.255.255.255';
}

function keyOf(family: Family, peer: string, { protocol, source, destination }: Ports): string {
  return [family, peer, protocol, source, destination].join(' ');
}
