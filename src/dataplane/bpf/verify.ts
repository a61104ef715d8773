/**
 * A state and what the maps in force hold -> where they differ, in the API objects' own names. The content that the state
 * asks for is worked out from nothing but the state, with the numbers that this process uses; so a defect of the
 * incremental way shows here as well as what somebody else has written into the maps.
 */
import type { ObjectKey } from '../../model/cluster.ts';
import type { Difference, Verification } from '../../model/observation.ts';
import type { DesiredState } from '../contract.ts';
import { Adopted, type CopyContent } from './adopted.ts';
import { readTable } from './copies.ts';
import type { Kernel } from './kernel.ts';
import { SlotPool } from './slot-pool.ts';
import type { CopyIndex, Table } from './table.ts';
import { type PolicyKey, splitPolicyKey, type Tables } from './tables.ts';
import { WantedContent, type WantedContentParts } from './wanted-content.ts';

export interface VerifyParts extends Pick<WantedContentParts, 'ruleNumbers' | 'settings'> {
  readonly kernel: Kernel;
  /** What this process wants in the maps: for the meaning of numbers. */
  readonly tables: Tables;
  /** Who holds which ruleset number: the policies, by number. */
  readonly policies: ReadonlyMap<number, readonly ObjectKey[]>;
}

/** The maps change with the next state: to be called when none is being applied, and to its end without waiting. */
export function verifyMaps(parts: VerifyParts, state: DesiredState): Verification {
  const generation = parts.kernel.generation.load();
  const copy = Number(generation & 1n) as CopyIndex;
  const expected = expectedTables(parts, state);
  const differences: Difference[] = [];
  let compared = 0;
  for (const table of Object.values(expected) as Table<unknown, unknown>[]) {
    const found = readTable(parts.kernel.map(table.codec.name, copy), table);
    compared += table.wanted.size;
    differences.push(...differencesOf(table, found, (key) => keyText(table.codec.name, key, parts)));
  }
  const programs = programsOf(parts.kernel, state);
  return {
    generation: Number(generation),
    compared: compared + programs.compared,
    differences: [...differences, ...programs.differences],
  };
}

function expectedTables({ kernel, tables, ruleNumbers, settings }: VerifyParts, state: DesiredState): Tables {
  const known = Object.entries(tables).map(([name, { wanted }]) => [name, wanted]);
  const content = new WantedContent({
    abi: kernel.abi,
    ruleNumbers,
    slots: new SlotPool(kernel.capacity('endpoints'), []),
    adopted: new Adopted(Object.fromEntries(known) as unknown as CopyContent),
    portsCapacity: kernel.capacity('ports'),
    settings,
  });
  content.update(state, undefined);
  return content.tables;
}

function differencesOf<K, V>(
  { codec, wanted }: Table<K, V>,
  found: ReadonlyMap<K, V>,
  text: (key: K) => string,
): Difference[] {
  const differences: Difference[] = [];
  for (const [key, value] of wanted) {
    const there = found.get(key);
    if (there !== undefined && codec.same(there, value)) continue;
    const is = there === undefined ? {} : { found: valueText(there) };
    differences.push({ place: codec.name, key: text(key), wanted: valueText(value), ...is });
  }
  // In a pool nobody looks at what is not referred to.
  if (codec.kind === 'pool') return differences;
  for (const [key, value] of found) {
    if (!wanted.has(key)) differences.push({ place: codec.name, key: text(key), found: valueText(value) });
  }
  return differences;
}

function keyText(name: string, key: unknown, { policies }: VerifyParts): string {
  if (name !== 'policy') return String(key);
  const { ruleset, identity } = splitPolicyKey(key as PolicyKey);
  const names = policies.get(ruleset)?.join(', ') ?? `ruleset ${ruleset}`;
  return `${names} for identity ${identity}`;
}

function valueText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return fields.map(([name, field]) => `${name} ${String(field)}`).join(', ');
}

/** Every interface of the state has its programs, those of this process. */
function programsOf(
  { attachments }: Kernel,
  { bindings, exits }: DesiredState,
): Pick<Verification, 'compared' | 'differences'> {
  const links = [
    ...[...bindings.values()].map(({ link }) => ({ ...link, role: 'pod' as const })),
    ...[...exits.values()].map((link) => ({ ...link, role: 'exit' as const })),
  ];
  const missing = links.flatMap(({ ifindex, name, role }) => {
    return attachments
      .missing(ifindex, role)
      .map((program) => ({ place: `tc ${name}`, key: program, wanted: 'attached' }));
  });
  return { compared: links.length, differences: missing };
}
