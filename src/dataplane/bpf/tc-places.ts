/**
 * Where our programs stand in the kernel: by pinned TCX links, or by clsact filters in a place of our own. What is there,
 * also of an agent before this one, and how it is taken away.
 */
import { existsSync, readdirSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type AttachedProgram, BpfError, detachTc, listTc, netlink, type TcDirection, TcLink } from '../../native.ts';
import type { LinkRole } from '../contract.ts';
import type { ProgramName } from './abi.ts';

/** The tc hook of each program, and the role of interfaces that have it; first what marks packets, then what reads the marks. */
export const HOOKS: Readonly<Record<ProgramName, { readonly direction: TcDirection; readonly role: LinkRole }>> = {
  from_pod: { direction: 'ingress', role: 'pod' },
  to_pod: { direction: 'egress', role: 'pod' },
  to_node: { direction: 'egress', role: 'exit' },
  to_node_l3: { direction: 'egress', role: 'exit' },
};
export const PROGRAMS = Object.keys(HOOKS) as ProgramName[];

/** Our filters' place: "5e1" for selvedge. Others' programs run before and after as they like. */
export const CLSACT_PLACE = { priority: 0x5e1, handle: 0x5e1 } as const;

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
  const link = openPinned(path);
  if (link === undefined) return;
  try {
    link.detach();
  } finally {
    link.close();
  }
  unlinkSync(path);
}

/** The link that is pinned there. What stands there and is none is removed: it would keep the interface unprotected for good. */
export function openPinned(path: string): TcLink | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  try {
    if (found?.isFile() === true) return TcLink.openPinned(path);
  } catch (error) {
    if (!(error instanceof BpfError && error.code === 'EINVAL')) throw error;
  }
  if (found !== undefined) rmSync(path, { recursive: true, force: true });
  return undefined;
}

export function removeFilter(program: ProgramName, ifindex: number): void {
  unlessGone(() => detachTc({ ifindex, direction: HOOKS[program].direction, ...CLSACT_PLACE }));
}

/** The filter in our place if it is this program's. */
export function openFilter(program: ProgramName, ifindex: number): TcLink | undefined {
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

export function namesOf(role: LinkRole): ProgramName[] {
  return PROGRAMS.filter((name) => HOOKS[name].role === role);
}

/** The kernel appends the program's id: `to_pod:[17]`. */
function programOf(filterName: string | undefined): string | undefined {
  return filterName?.split(':')[0];
}

export function filtersOf(ifindex: number, direction: TcDirection): AttachedProgram[] {
  return unlessGone(() => listTc(ifindex, direction).filter(({ mode }) => mode === 'clsact')) ?? [];
}

export function nameOf(program: ProgramName, ifindex: number): string {
  return `${program}_${ifindex}`;
}

export function parseName(name: string): { program: ProgramName; ifindex: number } | undefined {
  const [, program, ifindex] = /^(from_pod|to_pod|to_node|to_node_l3)_(\d+)$/.exec(name) ?? [];
  return program === undefined ? undefined : { program: program as ProgramName, ifindex: Number(ifindex) };
}

/** What is asked of an interface that is gone meanwhile is nothing. */
export function unlessGone<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

export function isGone(error: unknown): boolean {
  return error instanceof BpfError && (error.code === 'ENODEV' || error.code === 'ENOLINK');
}
