/**
 * The directory in bpffs that outlives the agent: DIRECTORY/maps-FINGERPRINT-FORM/NAME, DIRECTORY/links/PROGRAM_IFINDEX
 * and the endpoints' tables of flows (see flow-pins.ts).
 * The fingerprint is of everything that the maps' bytes mean, so what lies under ours may be taken over as it is. The form is
 * that of the tables of flows alone: those under it may be taken over from other layouts.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { BpfError, BpfMap, type BpfObject, isBpffs, type MapSpec, mountBpffs } from '../../native.ts';
import { FLOW_MAPS, flowForm } from './earlier-flows.ts';

const MAPS = 'maps-';
/** bpffs allows no dots. */
const UNFINISHED = '-unfinished';
const BROKEN = '-broken';
const DEFAULT_BPFFS = '/sys/fs/bpf';
export const PRIVATE = 0o700;

export function linksDirectory(directory: string): string {
  return join(directory, 'links');
}

export function flowsDirectory(directory: string): string {
  return join(directory, 'flows');
}

/** Somebody else could take the agent's lock, or put maps in place of its own. */
export class DirectoryNotPrivateError extends Error {
  readonly code = 'DIRECTORY_NOT_PRIVATE';
  constructor(directory: string, owner: number) {
    super(`${directory} belongs to user ${owner}, not to this one; remove it, or give the agent another directory`);
    this.name = 'DirectoryNotPrivateError';
  }
}

/** A bpffs that is mounted here would be seen by this process alone: its pins, and enforcement with them, would end with it. */
export class PrivateMountsError extends Error {
  readonly code = 'PRIVATE_MOUNTS';
  constructor(directory: string) {
    super(
      `${directory}: no bpffs is mounted here, and one mounted by this process would go with it, for its mounts are its own ("ip netns exec" makes it so); use "nsenter --net=/run/netns/NAME" instead, or mount a bpffs that lives on and give its folder with --pin-dir`,
    );
    this.name = 'PrivateMountsError';
  }
}

/**
 * Makes the directory, for this user alone, mounting the usual bpffs first if nothing is there yet.
 * @throws {DirectoryNotPrivateError | PrivateMountsError} @throws Error where it is no bpffs
 */
export function makeDirectory(directory: string): void {
  if (directory.startsWith(`${DEFAULT_BPFFS}/`) && !isBpffs(DEFAULT_BPFFS)) {
    if (hasMountsOfItsOwn()) throw new PrivateMountsError(directory);
    mountBpffs(DEFAULT_BPFFS);
  }
  let parent = dirname(directory);
  while (!existsSync(parent)) parent = dirname(parent);
  if (!isBpffs(parent))
    throw new Error(`${directory}: ${parent} is in no bpffs; give a folder in one, as ${DEFAULT_BPFFS}/selvedge`);
  mkdirSync(linksDirectory(directory), { recursive: true, mode: PRIVATE });
  // A bpffs may be open to all, and so may what stood there before.
  const { uid, mode } = statSync(directory);
  if (uid !== process.getuid?.()) throw new DirectoryNotPrivateError(directory, uid);
  if ((mode & ~constants.S_IFMT) !== PRIVATE) chmodSync(directory, PRIVATE);
}

/**
 * Whether this process, or one that started it, was given mounts that those before do not see. Process 1 alone would say it,
 * but one with more capabilities than ours does not let us look.
 */
function hasMountsOfItsOwn(): boolean {
  const own = mountNamespaceOf(process.pid);
  if (own === undefined) return false;
  for (let pid = process.ppid; pid > 0; pid = parentOf(pid)) {
    const other = mountNamespaceOf(pid);
    if (other !== undefined && other !== own) return true;
  }
  return false;
}

function mountNamespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

/** 0 of the first process, and of one that has gone. */
function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** The maps of an object in a directory. */
export class PinnedMaps {
  readonly #directory: string;
  readonly #path: string;
  /** Of the tables of flows. */
  readonly form: string;
  readonly #flowSpecs: ReadonlyMap<string, MapSpec>;
  /** Whether an agent before this one has left them, and all of them. */
  readonly existed: boolean;

  constructor(directory: string, object: BpfObject) {
    this.#directory = directory;
    this.form = flowForm(object);
    this.#flowSpecs = new Map(FLOW_MAPS.map((name) => [name, object.maps.get(name) as MapSpec]));
    this.#path = join(directory, `${MAPS}${fingerprint(object)}-${this.form}`);
    this.existed = existsSync(this.#path) && isWhole(this.#path, object);
  }

  /** Before the object is loaded. */
  reuse(object: BpfObject): void {
    if (!this.existed) return;
    for (const name of mapNames(object)) {
      const map = BpfMap.openPinned(join(this.#path, name));
      try {
        object.reuseMap(name, map);
      } finally {
        map.close();
      }
    }
  }

  /** A map as it is pinned now; undefined where nobody has left any. */
  open(name: string): BpfMap | undefined {
    return this.existed ? BpfMap.openPinned(join(this.#path, name)) : undefined;
  }

  /** After the object is loaded. The directory appears with all maps in it, or not at all. */
  pin(object: BpfObject): void {
    if (this.existed) return;
    const unfinished = this.#path + UNFINISHED;
    removeDirectory(unfinished);
    mkdirSync(unfinished);
    for (const name of mapNames(object)) object.map(name).pin(join(unfinished, name));
    this.#setAside();
    renameSync(unfinished, this.#path);
  }

  /** What is left where ours are to be is as good as another layout: programs use it until they are swapped. */
  #setAside(): void {
    if (!existsSync(this.#path)) return;
    const broken = this.#path + BROKEN;
    removeDirectory(broken);
    renameSync(this.#path, broken);
  }

  /** Directories with maps of other layouts. */
  others(): string[] {
    return mapDirectories(this.#directory).filter((path) => path !== this.#path);
  }

  /** Directories, but that of maps which are taken over, with tables of flows: of our form, and of others. */
  withFlows(): { readonly alike: readonly string[]; readonly unlike: readonly string[] } {
    const alike: string[] = [];
    const unlike: string[] = [];
    for (const path of mapDirectories(this.#directory)) {
      if ((path === this.#path && this.existed) || path.endsWith(UNFINISHED)) continue;
      const fits = (name: string, spec: MapSpec) => isMapLike(join(path, name), spec);
      if (!existsSync(join(path, 'flows4'))) continue;
      if (formOf(path) === this.form && [...this.#flowSpecs].every(([name, spec]) => fits(name, spec)))
        alike.push(path);
      else unlike.push(path);
    }
    return { alike, unlike };
  }

  /** Removes maps of other layouts; programs that still use them keep them alive. */
  removeOthers(): void {
    for (const path of this.others()) removeDirectory(path);
  }
}

/** Directories of maps, unfinished ones too. */
export function mapDirectories(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => name.startsWith(MAPS))
    .map((name) => join(directory, name));
}

/** Of a directory of maps; undefined where it is none of ours. */
function formOf(path: string): string | undefined {
  return /^maps-[0-9a-f]+-([0-9a-f]+)/.exec(basename(path))?.[1];
}

/** Removes a directory of pins, and whatever else is in it. Missing is fine. */
export function removeDirectory(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

/** An agent may have been killed while it removed them, and others may put anything there: programs could not be loaded with that. */
function isWhole(directory: string, object: BpfObject): boolean {
  return mapNames(object).every((name) => isMapLike(join(directory, name), object.maps.get(name) as MapSpec));
}

/** A pinned map of that type and of such elements. @throws {BpfError} */
export function isMapLike(path: string, { type, keySize, valueSize }: MapSpec): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return false;
  try {
    using map = BpfMap.openPinned(path);
    const { info } = map;
    return info.type === type && info.keySize === keySize && info.valueSize === valueSize;
  } catch (error) {
    // A pinned program or link.
    if (error instanceof BpfError && error.code === 'EINVAL') return false;
    throw error;
  }
}

/** Not the sections of global variables: those belong to one loaded program. */
function mapNames(object: BpfObject): string[] {
  return [...object.maps.keys()].filter((name) => !name.startsWith('.'));
}

/** Of the maps' shapes and of every type of the object: names, offsets, widths, byte orders, numbers. */
function fingerprint({ maps, layout }: BpfObject): string {
  const text = JSON.stringify([
    [...maps].filter(([name]) => !name.startsWith('.')),
    [...layout.structs].sort(byName),
    [...layout.enums]
      .sort(byName)
      .map(([name, values]) => [name, [...values].map(([key, value]) => [key, `${value}`])]),
  ]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
