/**
 * Interfaces -> our programs on them: from_pod and to_pod on a pod's link, to_node on a way out. By pinned TCX links where
 * the kernel has them, which outlive the agent and change their program in place; else by clsact filters in a place of
 * our own, which stay by themselves and are replaced atomically.
 */
import { existsSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  attachTc,
  BpfError,
  type BpfProgram,
  detachTc,
  features,
  listTc,
  netlink,
  type TcDirection,
  TcLink,
} from '../../native.ts';
import type { ProgramName } from './abi.ts';
import type { Attachments, LinkRole } from './kernel.ts';

/** The tc hook of each program, and the role of interfaces that have it. */
const HOOKS: Readonly<Record<ProgramName, { readonly direction: TcDirection; readonly role: LinkRole }>> = {
  from_pod: { direction: 'ingress', role: 'pod' },
  to_pod: { direction: 'egress', role: 'pod' },
  to_node: { direction: 'egress', role: 'exit' },
};
const PROGRAMS = Object.keys(HOOKS) as ProgramName[];

/** Our filters' place: "5e1" for selvedge. Others' programs run before and after as they like. */
export const CLSACT_PLACE = { priority: 0x5e1, handle: 0x5e1 } as const;

export interface TcAttachmentsOptions {
  /** Where links are pinned. */
  readonly directory: string;
  readonly mode?: 'auto' | 'tcx' | 'clsact';
  program(name: ProgramName): BpfProgram;
}

export class TcAttachments implements Attachments {
  readonly #directory: string;
  readonly #tcx: boolean;
  readonly #program: (name: ProgramName) => BpfProgram;
  /** `PROGRAM_IFINDEX` of those that run the program of this process. */
  readonly #current = new Set<string>();

  constructor({ directory, mode = 'auto', program }: TcAttachmentsOptions) {
    this.#directory = directory;
    this.#tcx = mode === 'auto' ? features.hasTcx() : mode === 'tcx';
    this.#program = program;
  }

  ensure(ifindex: number, role: LinkRole): void {
    for (const name of PROGRAMS) {
      if (HOOKS[name].role !== role || this.#current.has(nameOf(name, ifindex))) continue;
      try {
        if (this.#tcx) this.#ensureTcx(name, ifindex);
        else this.#attach(name, ifindex);
        this.#current.add(nameOf(name, ifindex));
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    }
  }

  *attached(): Generator<{ ifindex: number; role: LinkRole; alive: boolean }> {
    const found = new Map<string, { ifindex: number; role: LinkRole; alive: boolean }>();
    const note = (program: ProgramName, ifindex: number, alive: boolean): void => {
      const { role } = HOOKS[program];
      const key = `${role} ${ifindex}`;
      const other = found.get(key);
      found.set(key, { ifindex, role, alive: alive && other?.alive !== false });
    };
    for (const { program, ifindex, path } of pinnedLinks(this.#directory)) note(program, ifindex, isAlive(path));
    if (!this.#tcx) for (const { program, ifindex } of clsactFilters()) note(program, ifindex, true);
    yield* found.values();
  }

  remove(ifindex: number, role: LinkRole): void {
    for (const name of PROGRAMS) {
      if (HOOKS[name].role !== role) continue;
      this.#current.delete(nameOf(name, ifindex));
      removePinned(join(this.#directory, nameOf(name, ifindex)));
      if (!this.#tcx) removeFilter(name, ifindex);
    }
  }

  #ensureTcx(name: ProgramName, ifindex: number): void {
    const path = join(this.#directory, nameOf(name, ifindex));
    if (existsSync(path)) {
      using link = TcLink.openPinned(path);
      // A corpse: its interface is gone and another one has the index now.
      if (link.info.ifindex === ifindex) {
        link.update(this.#program(name));
        return;
      }
      unlinkSync(path);
    }
    this.#attach(name, ifindex, path);
  }

  #attach(name: ProgramName, ifindex: number, pinPath?: string): void {
    const { direction } = HOOKS[name];
    const place = pinPath === undefined ? CLSACT_PLACE : { pinPath };
    const mode = pinPath === undefined ? 'clsact' : 'tcx';
    attachTc(this.#program(name), { ifindex, direction, mode, ...place }).close();
  }
}

/** Our links that are pinned in a directory. */
export function* pinnedLinks(directory: string): Generator<{ program: ProgramName; ifindex: number; path: string }> {
  if (!existsSync(directory)) return;
  for (const file of readdirSync(directory)) {
    const [, program, ifindex] = /^(from_pod|to_pod|to_node)_(\d+)$/.exec(file) ?? [];
    if (program === undefined) continue;
    yield { program: program as ProgramName, ifindex: Number(ifindex), path: join(directory, file) };
  }
}

/** Filters in our place, of every interface. */
export function* clsactFilters(): Generator<{ program: ProgramName; ifindex: number; programId: number }> {
  for (const { ifindex } of netlink.links()) {
    for (const program of PROGRAMS) {
      const filter = filtersOf(ifindex, HOOKS[program].direction).find(
        ({ priority, handle, name }) =>
          priority === CLSACT_PLACE.priority && handle === CLSACT_PLACE.handle && name?.startsWith(program) === true,
      );
      if (filter !== undefined) yield { program, ifindex, programId: filter.programId };
    }
  }
}

/** Ends a pinned attachment and removes the pin. Missing is fine. */
export function removePinned(path: string): void {
  if (!existsSync(path)) return;
  const link = TcLink.openPinned(path);
  try {
    link.detach();
  } finally {
    link.close();
  }
  unlinkSync(path);
}

export function removeFilter(program: ProgramName, ifindex: number): void {
  try {
    detachTc({ ifindex, direction: HOOKS[program].direction, ...CLSACT_PLACE });
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function filtersOf(ifindex: number, direction: TcDirection): ReturnType<typeof listTc> {
  try {
    return listTc(ifindex, direction).filter(({ mode }) => mode === 'clsact');
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function isAlive(path: string): boolean {
  using link = TcLink.openPinned(path);
  return link.info.ifindex !== 0;
}

function nameOf(program: ProgramName, ifindex: number): string {
  return `${program}_${ifindex}`;
}

function isGone(error: unknown): boolean {
  return error instanceof BpfError && (error.code === 'ENODEV' || error.code === 'ENOLINK');
}
