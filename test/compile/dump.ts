/** The compiled state as plain sorted values: equal states have equal dumps, whatever the order of their maps. */
import type { Compiler } from '../../src/compile/compiler.ts';
import type { StateChanges } from '../../src/model/compiled.ts';

export type Section = Record<string, unknown>;

export interface Dump {
  readonly endpoints: Section;
  readonly rulesets: Section;
  readonly sets: Section;
  readonly members: Section;
  readonly memberships: Section;
  readonly awaited: Section;
  readonly conflicts: Section;
}

/** A deep copy, so that it can be compared with a later one. */
export function dump(compiler: Compiler): Dump {
  const { state, conflicts } = compiler;
  const members = [...state.sets].flatMap(([id, set]) =>
    set.kind === 'ipBlock' ? [] : [[id, [...set.members].sort()] as const],
  );
  const kinds = [...state.sets].map(
    ([id, set]) => [id, set.kind === 'ipBlock' ? { ...set } : { kind: set.kind, id: set.id }] as const,
  );
  return structuredClone({
    endpoints: section(state.endpoints),
    rulesets: section(state.rulesets),
    sets: section(kinds),
    members: section(members),
    memberships: section([...state.memberships].map(([address, ids]) => [address, [...ids].sort()] as const)),
    awaited: section(state.awaited),
    conflicts: section(conflicts),
  });
}

function section(entries: Iterable<readonly [string, unknown]>): Section {
  return Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Keys that differ between two dumps, by the name of the change that must announce them. */
export function differences(a: Dump, b: Dump): Record<keyof StateChanges, Set<string>> {
  return {
    endpoints: new Set([
      ...differing(a.endpoints, b.endpoints),
      ...differing(a.awaited, b.awaited),
      ...differing(a.conflicts, b.conflicts).flatMap((address) => [
        ...((a.conflicts[address] as string[] | undefined) ?? []),
        ...((b.conflicts[address] as string[] | undefined) ?? []),
      ]),
    ]),
    rulesets: new Set(differing(a.rulesets, b.rulesets)),
    sets: new Set(differing(a.sets, b.sets)),
    addresses: new Set(differing(a.memberships, b.memberships)),
  };
}

function differing(a: Section, b: Section): string[] {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].filter((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]));
}
