/**
 * One frame's way from a pod to another one, followed at both ends of what can become of it: it arrives, or an event names
 * the hook and the reason of its drop. A sentinel that every policy admits follows it on the same path, so that a frame of
 * which neither is seen is known to be gone, not late.
 */
import type { Frame, PacketSocket } from 'selvedge-libbpf';
import { PATIENCE } from '../../support/patience.ts';
import type { Member } from './cast.ts';
import { arpFrame } from './wire.ts';

/** `arrived`, `arrived tagged` (a tag that the device had taken off the frame), `HOOK REASON`, or `lost`: dropped by the kernel. */
export type Outcome = string;

export interface OfferOptions {
  /** Milliseconds that the frame may be overtaken by its sentinel for. */
  readonly patience?: number;
  /** As the receiver gets it, where that is not as it was sent. */
  readonly arriving?: Uint8Array;
  /** Another way to send it. */
  readonly send?: () => void;
}

export interface CrossingParts {
  socketOf(member: Member): PacketSocket;
  /** Hook and reason of every drop since the last call. */
  takeEvents(): readonly string[];
}

/**
 * Milliseconds until a frame that was overtaken by its sentinel is given up, where it must be seen: on another processor,
 * it may have to wait for whoever else wants that.
 */
const OVERTAKEN = 5_000;

export class Crossing {
  readonly #parts: CrossingParts;
  #serial = 0;

  constructor(parts: CrossingParts) {
    this.#parts = parts;
  }

  offer(from: Member, to: Member, frame: Uint8Array, options: OfferOptions = {}): Outcome {
    const { socketOf, takeEvents } = this.#parts;
    const receiver = socketOf(to);
    while (receiver.receive(0) !== undefined);
    takeEvents();
    const sentinel = this.#sentinel(from, to);
    const { patience = OVERTAKEN, arriving = frame, send = () => socketOf(from).send(frame) } = options;
    send();
    socketOf(from).send(sentinel);
    const seen: string[] = [];
    let deadline = performance.now() + PATIENCE;
    let passed = false;
    for (;;) {
      const left = Math.max(0, Math.ceil(deadline - performance.now()));
      // Once the sentinel is here, what is still to come is an event: looked for in small steps.
      const next = receiver.receive(passed ? Math.min(left, 5) : left);
      if (next !== undefined && isSame(next, sentinel)) {
        passed = true;
        deadline = performance.now() + patience;
      } else if (next !== undefined && isSame(next, arriving)) {
        seen.push(next.vlan === undefined ? 'arrived' : 'arrived tagged');
      }
      seen.push(...takeEvents());
      if (passed && seen.length > 0) return [...seen, ...this.#rest(receiver, arriving)].join(' and ');
      if (left === 0 && passed) return 'lost';
      if (left === 0) throw new Error(`${from.name} to ${to.name}: not even the sentinel arrived`);
    }
  }

  /** Resolves when every pair is connected: a bridge's new port drops what comes before the kernel has seen to it. */
  awaitCarrier(members: readonly Member[], patience: number): void {
    const deadline = performance.now() + patience;
    for (const from of members) {
      for (const to of members) {
        if (from === to) continue;
        for (let arrived = false; !arrived; ) {
          if (performance.now() > deadline) throw new Error(`no way from ${from.name} to ${to.name}`);
          const probe = this.#sentinel(from, to);
          this.#parts.socketOf(from).send(probe);
          for (let next = this.#parts.socketOf(to).receive(10); next !== undefined && !arrived; ) {
            arrived = isSame(next, probe);
            next = arrived ? undefined : this.#parts.socketOf(to).receive(10);
          }
        }
      }
    }
  }

  /** A frame that was both dropped and delivered, or delivered twice, would be found here. */
  #rest(receiver: PacketSocket, frame: Uint8Array): string[] {
    const rest: string[] = [];
    for (let next = receiver.receive(0); next !== undefined; next = receiver.receive(0)) {
      if (isSame(next, frame)) rest.push('arrived too');
    }
    return [...rest, ...this.#parts.takeEvents()];
  }

  /** ARP for an address that counts up: passes whatever the policy. */
  #sentinel(from: Member, to: Member): Buffer {
    const serial = ++this.#serial;
    const target = `240.${(serial >>> 16) & 0xff}.${(serial >>> 8) & 0xff}.${serial & 0xff}`;
    return arpFrame({ from, to, sender: from.addresses[4], target });
  }
}

function isSame({ data, vlan, packetType }: Frame, sent: Uint8Array): boolean {
  if (packetType === 'outgoing') return false;
  if (vlan === undefined) return data.equals(sent);
  const tag = Buffer.alloc(4);
  tag.writeUInt16BE(vlan.tpid, 0);
  tag.writeUInt16BE(vlan.tci, 2);
  return Buffer.concat([data.subarray(0, 12), tag, data.subarray(12)]).equals(sent);
}
