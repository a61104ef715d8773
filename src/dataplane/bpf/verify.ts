/**
 * A state and what the maps in force hold -> where they differ, in the API objects' own names. The content that the state
 * asks for is worked out from nothing but the state, with the numbers that this process uses; so a defect of the
 * incremental way shows here as well as what somebody else has written into the maps.
 */
import type { RulesetId } from '../../model/compiled.ts';
import type { Difference, Verification } from '../../model/observation.ts';
import type { DesiredState } from '../contract.ts';
import { Adopted, type CopyContent } from './adopted.ts';
import { readTable } from './copies.ts';
import { EntryNames } from './entry-names.ts';
import type { Kernel } from './kernel.ts';
import { SlotPool } from './slot-pool.ts';
import type { CopyIndex, Table } from './table.ts';
import { makeTables, type Tables } from './tables.ts';
import { WantedContent, type WantedContentParts } from './wanted-content.ts';

export interface VerifyParts extends Pick<WantedContentParts, 'ruleNumbers' | 'settings'> {
  readonly kernel: Kernel;
  /** What this process wants in the maps: its numbers, not what they stand for. Absent, after an update that broke off: those in the maps. */
  readonly known: WantedContent | undefined;
}

/** To be called when no state is on its way: it reads all maps without ever waiting, so that none can come in between. */
export function verifyMaps(parts: VerifyParts, state: DesiredState): Verification {
  const { kernel } = parts;
  const generation = kernel.generation.load();
  const copy = Number(generation & 1n) as CopyIndex;
  const found = contentOf(makeTables(kernel.abi), (table) => readTable(kernel.map(table.codec.name, copy), table));
  const expected = expectedContent(parts, state, found);
  const { tables } = expected;
  const names = new EntryNames({ abi: kernel.abi, state, expected, found, ruleNumbers: parts.ruleNumbers });
  const programs = programsOf(kernel, state);
  const differences = [
    ...Object.values(tables).flatMap((table) => differencesOf(table as AnyTable, found, names)),
    ...programs.differences,
  ];
  let { compared } = programs;
  for (const { wanted } of Object.values(tables)) compared += wanted.size;
  // What it has taken for itself; the names of rules are this process's.
  for (const id of [...expected.rows.ids()]) expected.rows.remove(id);
  return { generation: Number(generation), compared, differences };
}

type AnyTable = Table<unknown, unknown>;

function contentOf(tables: Tables, of: (table: AnyTable) => ReadonlyMap<unknown, unknown>): CopyContent {
  const content = Object.values(tables).map((table) => [table.codec.name, of(table as AnyTable)]);
  return Object.fromEntries(content) as CopyContent;
}

function expectedContent(
  { kernel, known, ruleNumbers, settings }: VerifyParts,
  state: DesiredState,
  found: CopyContent,
): WantedContent {
  const rulesets = new Map<RulesetId, number>();
  for (const id of known?.rows.ids() ?? []) rulesets.set(id, known?.rows.get(id)?.number as number);
  const numbered = known === undefined ? found : contentOf(known.tables, ({ wanted }) => wanted);
  const content = new WantedContent({
    abi: kernel.abi,
    ruleNumbers,
    slots: new SlotPool(kernel.capacity('endpoints'), []),
    adopted: new Adopted(numbered, rulesets),
    portsCapacity: kernel.capacity('ports'),
    settings,
  });
  content.update(state, undefined);
  return content;
}

function differencesOf({ codec, wanted }: AnyTable, content: CopyContent, names: EntryNames): Difference[] {
  const place = codec.name;
  const found = (content as unknown as Record<string, ReadonlyMap<unknown, unknown>>)[place] as typeof wanted;
  const differences: Difference[] = [];
  for (const [key, value] of wanted) {
    const there = found.get(key);
    if (there !== undefined && codec.same(there, value)) continue;
    const is = there === undefined ? {} : { found: names.value(place, there, 'found') };
    differences.push({ place, key: names.key(place, key), wanted: names.value(place, value, 'wanted'), ...is });
  }
  // In a pool nobody looks at what is not referred to.
  if (codec.kind === 'pool') return differences;
  for (const [key, value] of found) {
    if (wanted.has(key)) continue;
    differences.push({ place, key: names.key(place, key), found: names.value(place, value, 'found') });
  }
  return differences;
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
