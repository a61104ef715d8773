/** The ordinary packets of a family, so that one test can be run for both. */
import { echo, ipv4, ipv4Packet, ipv6, ipv6Packet, PROTOCOL, sctp, tcp, udp } from './frames.ts';
import { BLOCK, ENDPOINTS, OWN_NODE, REMOTE, SERVICE, WORLD } from './state.ts';

export type Family = 4 | 6;
export const FAMILIES = [4, 6] as const;

const ADDRESSES = {
  4: {
    web: ENDPOINTS.web.ipv4,
    api: ENDPOINTS.api.ipv4,
    db: ENDPOINTS.db.ipv4,
    node: OWN_NODE[0],
    remote: REMOTE[4],
    world: WORLD[4],
    block: BLOCK[4],
    service: SERVICE[4],
  },
  6: {
    web: ENDPOINTS.web.ipv6,
    api: ENDPOINTS.api.ipv6,
    db: ENDPOINTS.db.ipv6,
    node: OWN_NODE[1],
    remote: REMOTE[6],
    world: WORLD[6],
    block: BLOCK[6],
    service: SERVICE[6],
  },
} as const;
export type End = keyof (typeof ADDRESSES)[4];

export class Traffic {
  readonly family: Family;

  constructor(family: Family) {
    this.family = family;
  }

  address(end: End): string {
    return ADDRESSES[this.family][end];
  }

  get icmp(): number {
    return this.family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6;
  }

  /** A frame between two ends. */
  frame(from: End, to: End, protocol: number, payload: Uint8Array): Buffer {
    const [source, destination] = [this.address(from), this.address(to)];
    return this.family === 4
      ? ipv4({ source, destination, protocol }, payload)
      : ipv6({ source, destination, next: protocol }, payload);
  }

  /** The same without Ethernet's header, to be quoted. */
  packet(from: End, to: End, protocol: number, payload: Uint8Array): Buffer {
    const [source, destination] = [this.address(from), this.address(to)];
    return this.family === 4
      ? ipv4Packet({ source, destination, protocol }, payload)
      : ipv6Packet({ source, destination, next: protocol }, payload);
  }

  tcp(from: End, to: End, ports: readonly [number, number], flags: string): Buffer {
    return this.frame(from, to, PROTOCOL.tcp, tcp(ports[0], ports[1], flags));
  }

  udp(from: End, to: End, ports: readonly [number, number]): Buffer {
    return this.frame(from, to, PROTOCOL.udp, udp(ports[0], ports[1]));
  }

  sctp(from: End, to: End, ports: readonly [number, number], chunk: number): Buffer {
    return this.frame(from, to, PROTOCOL.sctp, sctp(ports[0], ports[1], chunk));
  }

  echoRequest(from: End, to: End, identifier: number): Buffer {
    return this.frame(from, to, this.icmp, echo(this.family === 4 ? 8 : 128, identifier));
  }

  echoReply(from: End, to: End, identifier: number): Buffer {
    return this.frame(from, to, this.icmp, echo(this.family === 4 ? 0 : 129, identifier));
  }
}
