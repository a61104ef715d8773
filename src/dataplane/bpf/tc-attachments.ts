/**
 * Interfaces -> our programs on them: from_pod and to_pod on a pod's link, to_node or to_node_l3 on a way out. By pinned TCX links where
 * the kernel has them, which outlive the agent and change their program in place; else by clsact filters in a place of
 * our own, which stay by themselves and are replaced atomically.
 */
import { existsSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  type AttachedProgram,
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
import type { LinkRole, StaleLink } from '../contract.ts';
import type { ProgramName } from './abi.ts';
import type { Attachments, LinkOf } from './kernel.ts';

/** The tc hook of each program, and the role of interfaces that have it; first what marks packets, then what reads the marks. */
const HOOKS: Readonly<Record<ProgramName, { readonly direction: TcDirection; readonly role: LinkRole }>> = {
  from_pod: { direction: 'ingress', role: 'pod' },
  to_pod: { direction: 'egress', role: 'pod' },
  to_node: { direction: 'egress', role: 'exit' },
  to_node_l3: { direction: 'egress', role: 'exit' },
};
const PROGRAMS = Object.keys(HOOKS) as ProgramName[];

const MAC_LENGTH = 'aa:bb:cc:dd:ee:ff'.length;

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
  /** By `PROGRAM_IFINDEX`: the program of this process, or that of an agent before; `unverified`: perhaps a corpse's. */
  readonly #running = new Map<string, 'ours' | 'older' | 'unverified'>();

  constructor({ directory, mode = 'auto', program }: TcAttachmentsOptions) {
    this.#directory = directory;
    this.#tcx = mode === 'auto' ? features.hasTcx() : mode === 'tcx';
    this.#program = program;
    const before = this.#tcx ? pinnedLinks(directory) : clsactFilters();
    for (const { program: name, ifindex } of before) this.#running.set(nameOf(name, ifindex), 'unverified');
  }

  ensure(ifindex: number, role: LinkRole, verify = false): void {
    for (const name of this.#programsFor(ifindex, role, verify)) {
      const running = this.#running.get(nameOf(name, ifindex));
      if (!verify && running !== undefined && running !== 'unverified') continue;
      const now = unlessGone(() => {
        const there = this.#open(name, ifindex);
        if (there === undefined) this.#attach(name, ifindex);
        there?.close();
        return there !== undefined && running !== 'ours' ? 'older' : 'ours';
      });
      this.#note(name, ifindex, now);
    }
  }

  renew(links: Iterable<LinkOf>): StaleLink[] {
    const all = [...links];
    return PROGRAMS.flatMap((name) => all.flatMap((link) => this.#renew(name, link)));
  }

  older(): boolean {
    return [...this.#running.values()].some((running) => running !== 'ours');
  }

  forget(ifindex: number): void {
    for (const name of PROGRAMS) {
      if (this.#running.has(nameOf(name, ifindex))) this.#running.set(nameOf(name, ifindex), 'unverified');
    }
  }

  *attached(): Generator<{ ifindex: number; role: LinkRole }> {
    for (const key of this.#running.keys()) {
      const { program, ifindex } = parseName(key) as { program: ProgramName; ifindex: number };
      yield { ifindex, role: HOOKS[program].role };
    }
  }

  alive(ifindex: number, role: LinkRole): boolean {
    return namesOf(role).some((name) => {
      if (!this.#running.has(nameOf(name, ifindex))) return false;
      using link = this.#open(name, ifindex);
      return link !== undefined;
    });
  }

  missing(ifindex: number, role: LinkRole): readonly string[] {
    return this.#programsFor(ifindex, role, true).filter((name) => {
      const { direction } = HOOKS[name];
      const mode = this.#tcx ? 'tcx' : 'clsact';
      const { id } = this.#program(name).info;
      const attached = unlessGone(() => listTc(ifindex, direction).map((one) => one.mode === mode && one.programId));
      return attached !== undefined && !attached.includes(id);
    });
  }

  remove(ifindex: number, role: LinkRole): void {
    for (const name of namesOf(role)) {
      this.#running.delete(nameOf(name, ifindex));
      removePinned(join(this.#directory, nameOf(name, ifindex)));
      if (!this.#tcx) removeFilter(name, ifindex);
    }
  }

  /** @param now undefined: the interface is gone */
  #note(name: ProgramName, ifindex: number, now: 'ours' | 'older' | undefined): void {
    if (now === undefined) this.#running.delete(nameOf(name, ifindex));
    else this.#running.set(nameOf(name, ifindex), now);
  }

  #renew(name: ProgramName, { ifindex, role }: LinkOf): StaleLink[] {
    if (HOOKS[name].role !== role || this.#running.get(nameOf(name, ifindex)) !== 'older') return [];
    try {
      const now = unlessGone(() => {
        using link = this.#open(name, ifindex);
        if (link === undefined) this.#attach(name, ifindex);
        else link.update(this.#program(name));
        return 'ours' as const;
      });
      this.#note(name, ifindex, now);
      return [];
    } catch (error) {
      return [{ ifindex, role, error }];
    }
  }

  /** Of a device without Ethernet header (WireGuard, IP tunnels) packets begin with their IP header. */
  #programsFor(ifindex: number, role: LinkRole, verify: boolean): readonly ProgramName[] {
    if (role === 'pod') return namesOf(role);
    const known = namesOf(role).filter((name) => {
      const running = this.#running.get(nameOf(name, ifindex));
      return running !== undefined && running !== 'unverified';
    });
    if (known.length > 0 && !verify) return known;
    const mac = netlink.links().find((link) => link.ifindex === ifindex)?.mac;
    return [mac?.length === MAC_LENGTH ? 'to_node' : 'to_node_l3'];
  }

  /** What is attached already. A dead pin is removed: its interface is gone, and another one may have the index now. */
  #open(name: ProgramName, ifindex: number): TcLink | undefined {
    if (!this.#tcx) return openFilter(name, ifindex);
    const path = this.#pathOf(name, ifindex);
    if (!existsSync(path)) return undefined;
    const link = TcLink.openPinned(path);
    if (link.info.ifindex === ifindex) return link;
    link.close();
    unlinkSync(path);
    return undefined;
  }

  #attach(name: ProgramName, ifindex: number): void {
    const { direction } = HOOKS[name];
    const how = this.#tcx
      ? ({ mode: 'tcx', pinPath: this.#pathOf(name, ifindex) } as const)
      : ({ mode: 'clsact', ...CLSACT_PLACE } as const);
    attachTc(this.#program(name), { ifindex, direction, ...how }).close();
  }

  #pathOf(name: ProgramName, ifindex: number): string {
    return join(this.#directory, nameOf(name, ifindex));
  }
}

/** Our links that are pinned in a directory. */
export function* pinnedLinks(directory: string): Generator<{ program: ProgramName; ifindex: number; path: string }> {
  if (!existsSync(directory)) return;
  for (const file of readdirSync(directory)) {
    const name = parseName(file);
    if (name !== undefined) yield { ...name, path: join(directory, file) };
  }
}

/** Filters in our place, of every interface. */
export function* clsactFilters(): Generator<{ program: ProgramName; ifindex: number; programId: number }> {
  for (const { ifindex } of netlink.links()) {
    for (const program of PROGRAMS) {
      const filter = ourFilter(program, ifindex);
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
  unlessGone(() => detachTc({ ifindex, direction: HOOKS[program].direction, ...CLSACT_PLACE }));
}

/** The filter in our place if it is this program's. */
function openFilter(program: ProgramName, ifindex: number): TcLink | undefined {
  const { direction } = HOOKS[program];
  const filter = ourFilter(program, ifindex);
  return filter === undefined ? undefined : TcLink.openClsact({ ifindex, direction, ...CLSACT_PLACE });
}

function ourFilter(program: ProgramName, ifindex: number): AttachedProgram | undefined {
  return filtersOf(ifindex, HOOKS[program].direction).find(
    ({ priority, handle, name }) =>
      priority === CLSACT_PLACE.priority && handle === CLSACT_PLACE.handle && programOf(name) === program,
  );
}

function namesOf(role: LinkRole): ProgramName[] {
  return PROGRAMS.filter((name) => HOOKS[name].role === role);
}

/** The kernel appends the program's id: `to_pod:[17]`. */
function programOf(filterName: string | undefined): string | undefined {
  return filterName?.split(':')[0];
}

function filtersOf(ifindex: number, direction: TcDirection): AttachedProgram[] {
  return unlessGone(() => listTc(ifindex, direction).filter(({ mode }) => mode === 'clsact')) ?? [];
}

function nameOf(program: ProgramName, ifindex: number): string {
  return `${program}_${ifindex}`;
}

function parseName(name: string): { program: ProgramName; ifindex: number } | undefined {
  const [, program, ifindex] = /^(from_pod|to_pod|to_node|to_node_l3)_(\d+)$/.exec(name) ?? [];
  return program === undefined ? undefined : { program: program as ProgramName, ifindex: Number(ifindex) };
}

/** What is asked of an interface that is gone meanwhile is nothing. */
function unlessGone<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof BpfError && (error.code === 'ENODEV' || error.code === 'ENOLINK')) return undefined;
    throw error;
  }
}
