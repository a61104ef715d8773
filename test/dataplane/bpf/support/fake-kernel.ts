/**
 * A kernel in memory. It tells of every single write, breaks the one it is asked to, and knows what no real one tells:
 * which copies a running program may still read.
 */
import type { Abi, CopiedMap } from '../../../../src/dataplane/bpf/abi.ts';
import { COPIED_MAPS } from '../../../../src/dataplane/bpf/abi.ts';
import { type EarlierSlots, NO_EARLIER_SLOTS } from '../../../../src/dataplane/bpf/earlier-slots.ts';
import type {
  Attachments,
  FlowFamily,
  FlowTableId,
  Kernel,
  KernelMap,
  LinkOf,
} from '../../../../src/dataplane/bpf/kernel.ts';
import type { CopyIndex } from '../../../../src/dataplane/bpf/table.ts';
import { u32Of } from '../../../../src/dataplane/bpf/tables.ts';
import type { LinkRole, StaleLink } from '../../../../src/dataplane/contract.ts';
import { abiFromHeader } from './abi-from-header.ts';

/** What an injected fault throws. */
export class InjectedFault extends Error {
  override readonly name = 'InjectedFault';
}

export interface Write {
  readonly map: CopiedMap | 'generation' | 'flows4' | 'flows6';
  readonly copy?: CopyIndex;
}

export interface FakeKernelOptions {
  readonly capacities?: Partial<Record<CopiedMap, number>>;
}

export class FakeKernel implements Kernel {
  readonly abi: Abi = abiFromHeader();
  readonly writes: Write[] = [];
  /** Called after each write; what it throws is a violation. */
  onWrite: (write: Write) => void = () => {};
  /** What must not have happened, also where the data plane has caught the error. */
  readonly violations: unknown[] = [];
  /** This many writes succeed, the next one throws; then all succeed again. */
  failAfter: number | undefined;
  /** The process is dead: nothing that it still tries reaches the kernel. */
  dead = false;
  readonly attachments = new FakeAttachments();
  earlier: EarlierSlots = NO_EARLIER_SLOTS;
  readonly flowTables: Readonly<Record<FlowFamily, Map<number, number>>> = { 4: new Map(), 6: new Map() };
  readonly #maps: readonly [Map<CopiedMap, FakeMap>, Map<CopiedMap, FakeMap>];
  readonly #capacities: Partial<Record<CopiedMap, number>>;
  #generation = 0n;
  #tables = 0;
  /** Copies that runs under way may read beside the one in force. */
  #lingering = new Set<CopyIndex>();

  constructor(options: FakeKernelOptions = {}) {
    this.#capacities = options.capacities ?? {};
    const mapsOf = (copy: CopyIndex) =>
      new Map(COPIED_MAPS.map((map) => [map, new FakeMap((write) => this.#guard({ map, copy }, write))]));
    this.#maps = [mapsOf(0), mapsOf(1)];
  }

  readonly generation = {
    taken: 0n,
    load: (): bigint => this.#generation,
    store: (value: bigint): void => {
      this.#guard({ map: 'generation' }, () => {
        this.#lingering.add(this.inForce);
        this.#generation = value;
        this.#lingering.delete(this.inForce);
      });
    },
  };

  readonly flows = {
    existing: (): FlowTableId[] =>
      ([4, 6] as const).flatMap((family) => [...this.flowTables[family].keys()].map((slot) => ({ family, slot }))),
    create: async (tables: readonly FlowTableId[]): Promise<void> => {
      for (const { family, slot } of tables) {
        this.#guard({ map: `flows${family}` }, () => this.flowTables[family].set(slot, ++this.#tables));
      }
    },
    provide: async (): Promise<void> => {},
    delete: async (tables: readonly FlowTableId[]): Promise<void> => {
      for (const { family, slot } of tables) {
        this.#guard({ map: `flows${family}` }, () => this.flowTables[family].delete(slot));
      }
    },
  };

  get inForce(): CopyIndex {
    return Number(this.#generation & 1n) as CopyIndex;
  }

  /** Copies that some run may be reading now. */
  get readable(): Set<CopyIndex> {
    return new Set([this.inForce, ...this.#lingering]);
  }

  map(name: CopiedMap, copy: CopyIndex): FakeMap {
    return this.#maps[copy].get(name) as FakeMap;
  }

  capacity(name: CopiedMap): number {
    return this.#capacities[name] ?? 16384;
  }

  async gracePeriod(): Promise<void> {
    const lingering = [...this.#lingering];
    await Promise.resolve();
    for (const copy of lingering) if (copy !== this.inForce) this.#lingering.delete(copy);
  }

  forgetCounts(): void {}

  earlierSlots(): EarlierSlots {
    return this.earlier;
  }

  removeOtherLayouts(): void {}

  close(): void {}

  #guard(write: Write, perform: () => void): void {
    if (this.dead) throw new InjectedFault('the process is dead');
    if (this.failAfter === 0) {
      this.failAfter = undefined;
      throw new InjectedFault(`write of ${write.map}`);
    }
    if (this.failAfter !== undefined) this.failAfter--;
    if (write.copy !== undefined && this.readable.has(write.copy)) {
      this.violations.push(new Error(`${write.map}: a copy was written that a program may read`));
    }
    perform();
    this.writes.push(write);
    try {
      this.onWrite(write);
      this.#checkFlowTables();
    } catch (error) {
      this.violations.push(error);
    }
  }

  /** Every endpoint that a run may see has its tables. */
  #checkFlowTables(): void {
    const { ENDPOINT_HAS_IPV4, ENDPOINT_HAS_IPV6 } = this.abi.numbers;
    for (const copy of this.readable) {
      for (const [key, bytes] of this.map('endpoints', copy).elements) {
        const flags = Number(this.abi.codecs.endpoint.decode(bytes).flags);
        const slot = u32Of(Buffer.from(key, 'hex'));
        for (const [family, flag] of [[4, ENDPOINT_HAS_IPV4] as const, [6, ENDPOINT_HAS_IPV6] as const]) {
          if ((flags & flag) !== 0 && !this.flowTables[family].has(slot)) {
            throw new Error(`slot ${slot} has no table of IPv${family} flows`);
          }
        }
      }
    }
  }
}

/** Elements by the text of their keys' bytes. */
export class FakeMap implements KernelMap {
  readonly elements = new Map<string, Uint8Array>();
  /** Grows with every change. */
  version = 0;
  readonly #guard: (write: () => void) => void;

  constructor(guard: (write: () => void) => void) {
    this.#guard = guard;
  }

  setBatch(keys: Uint8Array, values: Uint8Array, count: number): void {
    const [keySize, valueSize] = [keys.length / count, values.length / count];
    for (let i = 0; i < count; i++) {
      const key = textOf(keys.subarray(i * keySize, (i + 1) * keySize));
      this.#guard(() => {
        this.elements.set(key, values.slice(i * valueSize, (i + 1) * valueSize));
        this.version++;
      });
    }
  }

  deleteBatch(keys: Uint8Array, count: number): number {
    const keySize = keys.length / count;
    let deleted = 0;
    for (let i = 0; i < count; i++) {
      const key = textOf(keys.subarray(i * keySize, (i + 1) * keySize));
      if (!this.elements.has(key)) continue;
      this.#guard(() => {
        this.elements.delete(key);
        this.version++;
      });
      deleted++;
    }
    return deleted;
  }

  entriesBatch(): { count: number; keys: Uint8Array; values: Uint8Array } {
    const keys = [...this.elements.keys()].map((key) => Buffer.from(key, 'hex'));
    return { count: keys.length, keys: Buffer.concat(keys), values: Buffer.concat([...this.elements.values()]) };
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.elements.get(textOf(key));
  }
}

export class FakeAttachments implements Attachments {
  readonly links = new Map<string, { readonly ifindex: number; readonly role: LinkRole }>();

  version = 0;
  /** Until it resolves nothing is attached; absent: at once. */
  attaching: Promise<void> | undefined;

  ensure(ifindex: number, role: LinkRole): Promise<void> | undefined {
    if (this.links.has(`${role} ${ifindex}`)) return undefined;
    if (this.attaching !== undefined) return this.attaching.then(() => this.#attach(ifindex, role));
    this.#attach(ifindex, role);
    return undefined;
  }

  async settled(): Promise<void> {
    await this.attaching;
  }

  #attach(ifindex: number, role: LinkRole): void {
    this.version++;
    this.links.set(`${role} ${ifindex}`, { ifindex, role });
  }

  /** What an agent before has attached and cannot be taken over, with the reason. */
  readonly stale = new Map<string, unknown>();

  renew(links: Iterable<LinkOf>): StaleLink[] {
    return [...links].flatMap(({ ifindex, role }) => {
      const error = this.stale.get(`${role} ${ifindex}`);
      return error === undefined ? [] : [{ ifindex, role, error }];
    });
  }

  older(): boolean {
    return this.stale.size > 0;
  }

  forget(): void {}

  attached(): { ifindex: number; role: LinkRole }[] {
    return [...this.links.values()];
  }

  missing(): readonly string[] {
    return [];
  }

  alive(_ifindex: number): boolean {
    return true;
  }

  remove(ifindex: number, role: LinkRole): void {
    this.version++;
    this.links.delete(`${role} ${ifindex}`);
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
