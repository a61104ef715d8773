/** A pod's own table of connections in the loaded object, to count and to backdate. */
import type { BpfMap } from 'selvedge-libbpf';
import { StructCodec } from '../../../src/dataplane/bpf/struct-codec.ts';
import { u32Bytes, u32Of } from '../../../src/dataplane/bpf/tables.ts';
import type { StructLayout } from '../../../src/native.ts';
import { FlowEntries } from '../../support/kernel/flow-entries.ts';
import type { BridgeNode } from './bridge-node.ts';
import type { Family, PodName } from './cast.ts';

export class FlowTable {
  readonly #table: BpfMap;
  readonly #entries: FlowEntries;

  constructor({ kernel, seats }: BridgeNode, pod: PodName, family: Family) {
    const { structs } = kernel.object.layout;
    const codecOf = (name: string) => new StructCodec(structs.get(name) as StructLayout);
    const entry = kernel.object.map(`slots_${sideInForce(kernel)}`).get(u32Bytes(seats[pod].ifindex)) as Buffer;
    const { slot } = codecOf('slot').decode(entry);
    this.#table = kernel.object.map(`flows${family}`).getInner(u32Bytes(Number(slot))) as BpfMap;
    this.#entries = new FlowEntries(this.#table, kernel.object.layout);
  }

  /** Entries, live or not. */
  get size(): number {
    return this.#entries.size;
  }

  get capacity(): number {
    return this.#entries.capacity;
  }

  /** As if the last packet of each connection had come so many ticks earlier. */
  backdate(ticks: number): void {
    this.#entries.change((flow) => ({ ...flow, seen: (Number(flow.seen) - ticks) >>> 0 }));
  }

  close(): void {
    this.#table.close();
  }
}

/** Of every endpoint in force. */
export function slotsInUse({ kernel }: BridgeNode): number[] {
  const endpoints = kernel.object.map(`endpoints_${sideInForce(kernel)}`);
  return endpoints.entries().map(([key]) => u32Of(key));
}

function sideInForce({ generation }: BridgeNode['kernel']): 'left' | 'right' {
  return generation.load() & 1n ? 'right' : 'left';
}
