/** The way in: opens the BPF data plane of a node, or removes every trace of it. */
import { existsSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { VerdictCount, VerdictEvent } from '../../model/verdict-event.ts';
import { type BpfError, BpfMap, type BpfObject, BpfProgram } from '../../native.ts';
import { BpfDataplane, type BpfDataplaneOptions } from './bpf-dataplane.ts';
import type { Losses } from './events.ts';
import { type NativeKernel, type NativeKernelOptions, openNativeKernel } from './kernel-native.ts';
import { lockDirectory } from './lock.ts';
import { BpfObservation } from './observation.ts';
import { flowsDirectory, linksDirectory, mapDirectories, removeDirectory } from './pins.ts';
import { clsactFilters, pinnedLinks, removeFilter, removePinned } from './tc-places.ts';

export interface OpenOptions extends BpfDataplaneOptions, NativeKernelOptions {
  /** Told of every verdict that the programs' `events` constant asks for; else `observation.verdicts` has them. */
  readonly onEvent?: (event: VerdictEvent) => void;
}

/** The data plane on the real kernel. */
export interface OpenedBpfDataplane extends BpfDataplane {
  readonly observation: BpfObservation;
  /** The loaded object: for test-runs of its programs. */
  readonly object: BpfObject;
  /** Why the programs do not ask conntrack about packets without an entry; undefined: they do, or were told not to. */
  readonly noConntrack: BpfError | undefined;
  /** What becomes of connections in tables of another layout's maps; undefined: there were no such maps. */
  readonly earlierFlows: 'taken' | 'left' | undefined;
  counts(): VerdictCount[];
  losses(): Losses;
}

/**
 * Takes over what an agent before has pinned in the directory, or begins anew. Nothing is attached or written yet.
 * @throws {DirectoryInUseError} @throws {DirectoryNotPrivateError} @throws {AbiMismatchError} @throws {BpfError}
 */
export async function openBpfDataplane(options: OpenOptions): Promise<OpenedBpfDataplane> {
  const lock = lockDirectory(options.directory);
  try {
    const kernel = openNativeKernel(options, lock);
    return new NativeBpfDataplane(kernel, options);
  } catch (error) {
    lock.release();
    throw error;
  }
}

class NativeBpfDataplane extends BpfDataplane implements OpenedBpfDataplane {
  readonly observation: BpfObservation;
  readonly #native: NativeKernel;

  constructor(kernel: NativeKernel, options: OpenOptions) {
    super(kernel, options);
    this.#native = kernel;
    const { onEvent } = options;
    this.observation = new BpfObservation(kernel, this);
    if (onEvent !== undefined) this.observation.verdicts.subscribe(onEvent);
  }

  get object(): BpfObject {
    return this.#native.object;
  }

  get noConntrack(): BpfError | undefined {
    return this.#native.noConntrack;
  }

  get earlierFlows(): 'taken' | 'left' | undefined {
    return this.#native.earlierFlows;
  }

  counts(): VerdictCount[] {
    return this.#native.counters().map(([key, values]) => this.events.count(key, values, this.generation));
  }

  losses(): Losses {
    return this.events.losses(this.#native.losses());
  }
}

/**
 * Removes programs, links, maps and the directory: afterwards nothing is enforced. Idempotent.
 * @throws {DirectoryInUseError} while an agent runs on it
 */
export async function cleanupBpfDataplane(directory: string): Promise<void> {
  if (!existsSync(directory)) return;
  const lock = lockDirectory(directory);
  try {
    for (const { path } of [...pinnedLinks(linksDirectory(directory))]) removePinned(path);
    removeFiltersOf(directory);
    for (const path of [linksDirectory(directory), flowsDirectory(directory), ...mapDirectories(directory)])
      removeDirectory(path);
    if (readdirSync(directory).length === 0) rmdirSync(directory);
  } finally {
    lock.release();
  }
}

/** Filters are not pinned; ours are those whose programs use the maps of this directory. */
function removeFiltersOf(directory: string): void {
  const generations = new Set(
    mapDirectories(directory)
      .map((path) => join(path, 'generation'))
      .filter((path) => existsSync(path))
      .map(idOfPinned),
  );
  if (generations.size === 0) return;
  for (const { program, ifindex, programId } of [...clsactFilters()]) {
    using loaded = BpfProgram.fromId(programId);
    if (loaded.info.mapIds.some((id) => generations.has(id))) removeFilter(program, ifindex);
  }
}

function idOfPinned(path: string): number {
  using map = BpfMap.openPinned(path);
  return map.info.id;
}
