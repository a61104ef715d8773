/** The maps' content with every number replaced by what holds it, so that equal contents are equal texts whatever the numbering. */
import type { CopiedMap, StructName } from '../../../../src/dataplane/bpf/abi.ts';
import type { CopyIndex } from '../../../../src/dataplane/bpf/table.ts';
import { u32Bytes, u32Of } from '../../../../src/dataplane/bpf/tables.ts';
import type { FakeKernel } from './fake-kernel.ts';

type Row = Record<string, unknown>;

export function canonicalContent(kernel: FakeKernel, copy: CopyIndex): string[] {
  const { codecs } = kernel.abi;
  const rows = (map: CopiedMap, struct: StructName): [Buffer, Row][] =>
    [...kernel.map(map, copy).elements]
      .filter(([, bytes]) => bytes.some((byte) => byte !== 0) || map.startsWith('ipcache') || map.startsWith('cidrs'))
      .map(([key, bytes]) => [Buffer.from(key, 'hex'), codecs[struct].decode(bytes) as Row]);
  const places = (['ipcache4', 'ipcache6', 'cidrs4', 'cidrs6'] as const).flatMap((map) =>
    rows(map, map.startsWith('ipcache') ? 'ipcache_entry' : 'cidr_entry').map(([key, row]) => ({
      place: `${map} ${key.toString('hex')}`,
      identity: Number(row.identity),
      flags: row.flags,
    })),
  );
  const identities = namesBy(places.map(({ identity, place }) => [identity, place]));
  identities.set(kernel.abi.numbers.IDENTITY_WORLD, 'world');
  const endpoints = rows('endpoints', 'endpoint').map(([key, row]) => ({ slot: u32Of(key), row }));
  const rulesets = namesBy(
    endpoints.flatMap(({ row }) =>
      (['ingress_ruleset', 'egress_ruleset'] as const).map((field): [number, string] => [
        Number(row[field]),
        `${row.ifindex} ${field}`,
      ]),
    ),
  );
  rulesets.set(0, 'not isolated');
  const slots = new Map(endpoints.map(({ slot, row }) => [slot, `endpoint ${row.ifindex}`]));
  slots.set(0, 'none');
  const named = (names: ReadonlyMap<number, string>, number: unknown): string => {
    const name = names.get(Number(number));
    if (name === undefined) throw new Error(`number ${number} is held by nothing`);
    return name;
  };
  return [
    ...rows('settings', 'settings').map(([, row]) => `settings ${text(row)}`),
    ...(['slots', 'slots_beyond'] as const).flatMap((map) =>
      rows(map, 'slot').map(([key, row]) => `${map} ${u32Of(key)} ${named(slots, row.slot)} ${row.pending}`),
    ),
    ...endpoints.map(({ row }) => {
      const { ingress_ruleset, egress_ruleset, identity4, identity6, ...rest } = row;
      const numbers = [named(rulesets, ingress_ruleset), named(rulesets, egress_ruleset)];
      return `endpoint ${text(rest)} ${numbers} ${named(identities, identity4)} ${named(identities, identity6)}`;
    }),
    ...places.map(({ place, identity, flags }) => `${place} ${named(identities, identity)} ${flags}`),
    ...rows('policy', 'policy_entry').map(([key, { first, count }]) => {
      const { ruleset, identity } = codecs.policy_key.decode(key);
      const ports = Array.from({ length: Number(count) }, (_, i) => {
        const bytes = kernel.map('ports', copy).get(u32Bytes(Number(first) + i));
        return text(codecs.port_range.decode(bytes as Uint8Array) as Row);
      });
      // A ruleset of pods whose interface is not known yet has its rows in place already.
      const holders = rulesets.get(Number(ruleset)) ?? 'no endpoint';
      return `row ${holders} | ${named(identities, identity)} | ${ports}`;
    }),
  ].sort();
}

/** Number -> all its holders, sorted. */
function namesBy(held: readonly (readonly [number, string])[]): Map<number, string> {
  const holders = new Map<number, string[]>();
  for (const [number, holder] of held) holders.set(number, [...(holders.get(number) ?? []), holder]);
  return new Map([...holders].map(([number, list]) => [number, list.sort().join('+')]));
}

function text(row: Row): string {
  return Object.entries(row)
    .map(([name, value]) => `${name}=${value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value}`)
    .join();
}
