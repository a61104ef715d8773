/**
 * A world's compiled state in the maps of a real data plane that is attached to nothing, and the programs of
 * bpf/bench.bpf.c over those maps: packets go through by test-run.
 */
import { runSync } from '../../child-process.ts';
import { BpfDataplane } from '../../dataplane/bpf/bpf-dataplane.ts';
import type { Attachments } from '../../dataplane/bpf/kernel.ts';
import { type NativeKernel, openNativeKernel } from '../../dataplane/bpf/kernel-native.ts';
import { lockDirectory } from '../../dataplane/bpf/lock.ts';
import { cleanupBpfDataplane } from '../../dataplane/bpf/open.ts';
import { u32Bytes } from '../../dataplane/bpf/tables.ts';
import { claimLab, mountLabBpffs, removeLab } from '../../lab/lab-record.ts';
import { nodeNamespace } from '../../lab/network/names.ts';
import type { Address } from '../../model/address.ts';
import { BpfObject, netlink, netns, RingBuffer, type SkbContext } from '../../native.ts';
import { crowdAddress, desiredState, type End, LOCAL, type LocalPod, type WorldSize } from './world.ts';

export type ProgramName = 'empty' | 'from_pod' | 'to_pod' | `drive_${'empty' | 'from_pod' | 'to_pod' | 'to_node'}`;
/**
 * `quiet` tells no event, `telling` each drop, `limited` only as many as the limit leaves; `asking` is quiet, and asks
 * conntrack about the first packet of UDP as if entries were lost all the time.
 */
export type Variant = 'quiet' | 'telling' | 'limited' | 'asking';

/** Links that no program is given: the programs are only test-run. */
const NOT_ATTACHED: Attachments = {
  ensure: () => undefined,
  version: 0,
  settled: async () => {},
  renew: () => [],
  older: () => false,
  forget: () => {},
  attached: () => [],
  alive: () => true,
  missing: () => [],
  remove: () => {},
};

/**
 * A network namespace with so many interfaces, for nothing but their indexes, and a bpffs beside it. It is a lab: what a run
 * that is killed leaves goes as a lab's does.
 */
export class BenchNamespace implements Disposable {
  readonly name: string;
  readonly ifindexes: readonly number[];
  /** Where testbeds pin their maps. */
  readonly pinDir: string;
  readonly #lab = claimLab();

  constructor(interfaces: number) {
    this.name = nodeNamespace(this.#lab, 'path');
    try {
      this.pinDir = mountLabBpffs(this.#lab);
      this.ifindexes = this.#makeLinks(interfaces);
    } catch (error) {
      removeLab(this.#lab);
      throw error;
    }
  }

  #makeLinks(interfaces: number): readonly number[] {
    runSync('ip', ['netns', 'add', this.name]);
    const pairs = Array.from({ length: Math.ceil(interfaces / 2) }, (_, index) => {
      return `link add a${index} type veth peer name b${index}`;
    });
    this.run(() => runSync('ip', ['-batch', '-'], { input: pairs.join('\n') }));
    const links = this.run(() => netlink.links()).filter(({ name }) => /^[ab]\d+$/.test(name));
    return links.map(({ ifindex }) => ifindex);
  }

  /** Runs a synchronous function with this thread in the namespace. */
  run<T>(fn: () => T): T {
    return netns.run(this.name, fn);
  }

  [Symbol.dispose](): void {
    removeLab(this.#lab);
  }
}

export interface TestbedOptions {
  readonly name: string;
  readonly size: WorldSize;
  readonly namespace: BenchNamespace;
  /** policy.bpf.o and bench.bpf.o. */
  readonly objects: { readonly policy: string; readonly bench: string };
  readonly variants: readonly Variant[];
}

export class Testbed {
  readonly size: WorldSize;
  readonly #directory: string;
  readonly #dataplane: BpfDataplane;
  readonly #kernel: NativeKernel;
  readonly #variants: ReadonlyMap<Variant, BpfObject>;
  readonly #ring: RingBuffer;
  readonly #ifindexes: readonly number[];

  static async open(options: TestbedOptions): Promise<Testbed> {
    const { name, size, namespace, objects } = options;
    const directory = `${namespace.pinDir}/${name}`;
    const lock = lockDirectory(directory);
    const kernel = openNativeKernel({ path: objects.policy, directory }, lock);
    const dataplane = new BpfDataplane({ ...kernel, attachments: NOT_ATTACHED });
    try {
      await dataplane.apply(desiredState(size, namespace.ifindexes), undefined);
      await dataplane.settled();
      return new Testbed(options, { directory, kernel, dataplane });
    } catch (error) {
      dataplane.close();
      await cleanupBpfDataplane(directory);
      throw error;
    }
  }

  private constructor(
    { size, namespace, objects, variants }: TestbedOptions,
    parts: { directory: string; kernel: NativeKernel; dataplane: BpfDataplane },
  ) {
    this.size = size;
    this.#directory = parts.directory;
    this.#kernel = parts.kernel;
    this.#dataplane = parts.dataplane;
    this.#ifindexes = namespace.ifindexes;
    this.#variants = new Map(variants.map((variant) => [variant, this.#load(objects.bench, variant)]));
    this.#ring = new RingBuffer(parts.kernel.object.map('events'), () => {}).unref();
  }

  /**
   * The local pods get another testbed's tables of flows, with the numbers that place connections in them: then worlds can be
   * compared, and not where their tables came to lie in the processor's caches.
   */
  shareFlows(other: Testbed): void {
    const others = other.#kernel.object;
    const { object } = this.#kernel;
    const seed = others.map('flow_seed').get(u32Bytes(0));
    if (seed !== undefined) object.map('flow_seed').set(u32Bytes(0), seed);
    for (const name of ['flows4', 'flows6']) {
      const [own, theirs] = [object.map(name), others.map(name)];
      for (const [slot] of own.entries()) {
        using table = theirs.getInner(slot);
        if (table !== undefined) own.setInner(slot, table);
      }
    }
  }

  program(variant: Variant, name: ProgramName) {
    const object = this.#variants.get(variant);
    if (object === undefined) throw new Error(`no variant ${variant} of this testbed`);
    return object.program(name);
  }

  ifindexOf(pod: LocalPod | number): number {
    const index = typeof pod === 'number' ? LOCAL.length + pod : LOCAL.indexOf(pod);
    return this.#ifindexes[index] as number;
  }

  get crowd(): readonly { readonly index: number; readonly address: Address }[] {
    return Array.from({ length: this.size.crowd ?? 0 }, (_, index) => ({ index, address: crowdAddress(index) }));
  }

  isLocal(end: End): end is LocalPod {
    return (LOCAL as readonly string[]).includes(end);
  }

  /** Empties the ring buffer. */
  consume(): void {
    this.#ring.consume();
  }

  /** One packet at a hook; throws unless it ends as said. In the namespace. @returns its mark behind the hook */
  pass(name: ProgramName, packet: Uint8Array, context: SkbContext): number {
    const run = this.program('quiet', name).testRun({ packet, context });
    if (run.returnValue !== -1) throw new Error(`${name} drops a packet that is to pass`);
    return run.context?.mark ?? 0;
  }

  async close(): Promise<void> {
    this.#ring.close();
    for (const object of this.#variants.values()) object.close();
    await this.#dataplane.settled();
    this.#dataplane.close();
    await cleanupBpfDataplane(this.#directory);
  }

  #load(path: string, variant: Variant): BpfObject {
    const object = BpfObject.open(path);
    const ours = this.#kernel.object;
    for (const name of object.maps.keys()) if (!name.startsWith('.')) object.reuseMap(name, ours.map(name));
    object.setRodata('conntrack', u32Bytes(1));
    const tells = variant === 'telling' || variant === 'limited';
    object.setRodata('event_mask', u32Bytes(tells ? this.#kernel.abi.numbers.EVENTS_DROPS : 0));
    object.setRodata('idle_udp_lost', u32Bytes(variant === 'asking' ? 0xffff_ffff : 0));
    // Packets that one window leaves are told in no other: a goes' worth takes less time than that.
    object.setRodata('event_limit', u32Bytes(variant === 'limited' ? 1 : 0));
    object.load();
    return object;
  }
}
