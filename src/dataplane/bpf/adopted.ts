/**
 * What the copy in force says, as wishes for the numbers of a fresh build: identities, rulesets, slots and extents then
 * stand where they stood, and a restarted agent writes only what differs. Meanings come from the wanted state alone.
 */
import type { RulesetId } from '../../model/compiled.ts';
import type { Place } from './blocks.ts';
import { readTable } from './copies.ts';
import type { Kernel } from './kernel.ts';
import type { CopyIndex } from './table.ts';
import type { AdmittedRange, EndpointRecord, Extent, IpcacheEntry, PolicyKey, SlotEntry } from './tables.ts';
import { makeTables, splitPolicyKey } from './tables.ts';

/** The content of one copy, by table. */
export interface CopyContent {
  readonly slots: ReadonlyMap<number, SlotEntry>;
  readonly slots_beyond: ReadonlyMap<number, SlotEntry>;
  readonly endpoints: ReadonlyMap<number, EndpointRecord>;
  readonly ipcache4: ReadonlyMap<Place, IpcacheEntry>;
  readonly ipcache6: ReadonlyMap<Place, IpcacheEntry>;
  readonly cidrs4: ReadonlyMap<Place, number>;
  readonly cidrs6: ReadonlyMap<Place, number>;
  readonly policy: ReadonlyMap<PolicyKey, Extent>;
  readonly ports: ReadonlyMap<number, AdmittedRange>;
}

/** Nobody of us has ever given so many: a larger number was written by somebody else, and those after it must fit 32 bits. */
const MOST = 2 ** 31;

export class Adopted {
  readonly #content: CopyContent;
  /** Numbers from here on were in no use. */
  readonly freeIdentities: number;
  readonly freeRulesets: number;
  readonly rulesets: ReadonlyMap<RulesetId, number>;

  /** @param rulesets numbers of those that are known by name, as in no map */
  constructor(content: CopyContent, rulesets: ReadonlyMap<RulesetId, number> = new Map()) {
    this.#content = content;
    this.rulesets = rulesets;
    let identity = 0;
    let ruleset = 0;
    const seen = (number: number): void => {
      if (number > identity && number < MOST) identity = number;
    };
    for (const map of [content.ipcache4, content.ipcache6]) for (const entry of map.values()) seen(entry.identity);
    for (const map of [content.cidrs4, content.cidrs6]) for (const number of map.values()) seen(number);
    const rulesetSeen = (number: number): void => {
      if (number > ruleset && number < MOST) ruleset = number;
    };
    for (const key of content.policy.keys()) rulesetSeen(splitPolicyKey(key).ruleset);
    for (const endpoint of content.endpoints.values())
      for (const number of [endpoint.ingress, endpoint.egress]) rulesetSeen(number);
    this.freeIdentities = identity + 1;
    this.freeRulesets = ruleset + 1;
  }

  identityOf(place: Place): number | undefined {
    const { ipcache4, ipcache6, cidrs4, cidrs6 } = this.#content;
    return ipcache4.get(place)?.identity ?? ipcache6.get(place)?.identity ?? cidrs4.get(place) ?? cidrs6.get(place);
  }

  endpointOf(ifindex: number): { slot: number; record: EndpointRecord } | undefined {
    const slot = (this.#content.slots.get(ifindex) ?? this.#content.slots_beyond.get(ifindex))?.slot;
    const record = slot === undefined || slot === 0 ? undefined : this.#content.endpoints.get(slot);
    return slot !== undefined && record?.ifindex === ifindex ? { slot, record } : undefined;
  }

  /** By ifindex. */
  *endpoints(): Generator<[ifindex: number, record: EndpointRecord]> {
    for (const { ifindex } of this.#content.endpoints.values()) {
      const endpoint = this.endpointOf(ifindex);
      if (endpoint !== undefined) yield [ifindex, endpoint.record];
    }
  }

  /** Every set of ranges that a row refers to, once or more. */
  *portSets(): Generator<{ ranges: readonly AdmittedRange[]; extent: Extent }> {
    for (const extent of this.#content.policy.values()) {
      const ranges: AdmittedRange[] = [];
      // A row that somebody else has written may say any number.
      while (ranges.length < extent.count) {
        const range = this.#content.ports.get(extent.first + ranges.length);
        if (range === undefined) break;
        ranges.push(range);
      }
      if (ranges.length > 0 && ranges.length === extent.count) yield { ranges, extent };
    }
  }
}

/** What the copy in force holds; undefined where none is. */
export function readInForce(kernel: Kernel): Adopted | undefined {
  const generation = kernel.generation.load();
  if (generation === 0n) return undefined;
  const copy = Number(generation & 1n) as CopyIndex;
  const tables = Object.values(makeTables(kernel.abi));
  const read = tables.map((table) => {
    return [table.codec.name, readTable(kernel.map(table.codec.name, copy), table as never)] as const;
  });
  return new Adopted(Object.fromEntries(read) as unknown as CopyContent);
}
