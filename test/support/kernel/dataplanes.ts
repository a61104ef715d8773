/** BPF data planes of nodes that are not this process's own network namespace. */
import { rmSync } from 'node:fs';
import { BpfDataplane } from '../../../src/dataplane/bpf/bpf-dataplane.ts';
import type { Attachments, FlowTableId, FlowTableStore, NewFlowTable } from '../../../src/dataplane/bpf/kernel.ts';
import {
  type NativeKernel,
  type NativeKernelOptions,
  openNativeKernel,
} from '../../../src/dataplane/bpf/kernel-native.ts';
import { lockDirectory } from '../../../src/dataplane/bpf/lock.ts';
import { u32Bytes } from '../../../src/dataplane/bpf/tables.ts';
import { TcAttachments } from '../../../src/dataplane/bpf/tc-attachments.ts';
import { type BpfMap, netns } from '../../../src/native.ts';
import { clearFlows } from './flow-entries.ts';

export const OBJECT = new URL('../../../build/policy.bpf.o', import.meta.url).pathname;

let count = 0;

export interface TestDataplane {
  readonly dataplane: BpfDataplane;
  readonly kernel: NativeKernel;
  /** As an agent that ends and comes back: closes it and opens all anew, on what is pinned. */
  restart(): Promise<TestDataplane>;
  /** Closes it and removes its pins: what it has attached goes with the pins. Idempotent. */
  remove(): void;
}

export interface TestDataplaneOptions extends Partial<Omit<NativeKernelOptions, 'directory'>> {
  /** What stands in for parts of the kernel. */
  readonly replace?: (kernel: NativeKernel) => Partial<Pick<NativeKernel, 'attachments' | 'flows'>>;
}

/** A data plane in a directory of its own that goes with the process. */
export function openTestDataplane(options: TestDataplaneOptions = {}): Promise<TestDataplane> {
  return openIn(`/sys/fs/bpf/selvedge-test-${process.pid}-${count++}`, options);
}

async function openIn(directory: string, options: TestDataplaneOptions): Promise<TestDataplane> {
  const { replace, constants, ...more } = options;
  // Every drop is told: tests ask what became of each packet.
  const all = { path: OBJECT, ...more, constants: { eventLimit: 0, ...constants }, directory };
  const kernel = openNativeKernel(all, lockDirectory(directory));
  const dataplane = new BpfDataplane({ ...kernel, ...replace?.(kernel) });
  const remove = () => {
    process.off('exit', remove);
    dataplane.close();
    rmSync(directory, { recursive: true, force: true });
  };
  process.on('exit', remove);
  const restart = async () => {
    await dataplane.settled();
    process.off('exit', remove);
    dataplane.close();
    return openIn(directory, options);
  };
  return { dataplane, kernel, restart, remove };
}

/** Attaches in another network namespace, whenever it is called. */
export function attachmentsIn(namespace: string, attachments: Attachments): Attachments {
  if (attachments instanceof TcAttachments) attachments.begin = (start) => netns.run(namespace, start);
  return new Proxy(attachments, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      // Wrapped: what is done in the background is not waited for in the namespace.
      return (...args: unknown[]) =>
        netns.run(namespace, () => ({ of: whole(Reflect.apply(member, target, args)) })).of;
    },
  });
}

/** A generator would go on in the caller's namespace. */
function whole(result: unknown): unknown {
  return typeof result === 'object' && result !== null && Symbol.iterator in result
    ? [...(result as Iterable<unknown>)]
    : result;
}

/** For test-runs, which need no attachment. */
export const NO_ATTACHMENTS: Attachments = {
  ensure: () => undefined,
  version: 0,
  settled: async () => {},
  renew: () => [],
  older: () => false,
  attached: () => [],
  alive: () => true,
  missing: () => [],
  forget: () => {},
  remove: () => {},
};

/**
 * Tables of flows that are emptied where they would be replaced: putting one in takes the kernel a grace period, too long
 * for hundreds of worlds with a dozen pods each.
 */
export class ReusedFlowTables implements FlowTableStore {
  readonly #kernel: NativeKernel;
  readonly #tables = new Map<string, BpfMap>();

  constructor(kernel: NativeKernel) {
    this.#kernel = kernel;
  }

  existing(): FlowTableId[] {
    return [];
  }

  async create(tables: readonly NewFlowTable[]): Promise<void> {
    const known = tables.filter((id) => this.#tables.has(nameOf(id)));
    for (const id of known) clearFlows(this.#tables.get(nameOf(id)) as BpfMap);
    const missing = tables.filter((id) => !this.#tables.has(nameOf(id)));
    await this.#kernel.flows.create(missing);
    for (const id of missing) {
      const outer = this.#kernel.object.map(`flows${id.family}`);
      this.#tables.set(nameOf(id), outer.getInner(u32Bytes(id.slot)) as BpfMap);
    }
  }

  async provide(): Promise<void> {}

  async delete(): Promise<void> {}

  /** Forgets all connections. */
  clear(): void {
    for (const table of this.#tables.values()) clearFlows(table);
  }

  close(): void {
    for (const table of this.#tables.values()) table.close();
  }
}

function nameOf({ family, slot }: FlowTableId): string {
  return `flows${family} ${slot}`;
}
