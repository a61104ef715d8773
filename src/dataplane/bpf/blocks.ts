/**
 * ipBlocks and addresses by where they lie: which blocks hold a place, and which places a block's coming or going
 * concerns. Every cidr and except is a stored prefix, so the longest stored prefix around an address says which blocks
 * hold it: those that hold the prefix, less those whose except does.
 */
import {
  type Address,
  addressBytes,
  bitsOf,
  type Family,
  familyOf,
  type Prefix,
  splitPrefix,
} from '../../model/address.ts';
import type { SetId } from '../../model/compiled.ts';
import { PrefixTrie } from './prefix-trie.ts';
import type { SetRecord } from './set-records.ts';
import { TrackedAddresses } from './tracked-addresses.ts';

/** Something with an identity: an address of the ipcache, or a prefix of the cidrs. */
export type Place = Address | Prefix;

export interface Block {
  readonly cidr: Prefix;
  readonly except: readonly Prefix[];
}

/** What stands at one place of the trie. */
interface Entry {
  /** As an address where the prefix has full length: the ipcache is asked first. */
  readonly place: Place;
  readonly cidrOf: Set<SetRecord>;
  readonly exceptOf: Set<SetRecord>;
  /** The blocks that hold what has this as its longest stored prefix, worked out when asked; with the state of blocks that it is of. */
  holding?: { readonly of: number; readonly blocks: ReadonlySet<SetRecord> };
}

const NONE: ReadonlySet<SetRecord> = new Set();

export class Blocks {
  readonly #tries: Readonly<Record<Family, PrefixTrie<Entry>>> = { 4: new PrefixTrie(4), 6: new PrefixTrie(16) };
  /** Addresses that are wanted for themselves, whatever blocks there are. */
  readonly #tracked: Readonly<Record<Family, TrackedAddresses>> = {
    4: new TrackedAddresses(4),
    6: new TrackedAddresses(6),
  };
  readonly #known = new Map<SetId, Block & { readonly record: SetRecord }>();
  /** Counts the changes of blocks. */
  #changes = 0;

  /** @returns whether the block was not there; its places are then to be looked at again */
  add(record: SetRecord, { cidr, except }: Block): boolean {
    if (this.#known.has(record.id)) return false;
    this.#known.set(record.id, { record, cidr, except });
    this.#changes++;
    this.#entry(cidr).cidrOf.add(record);
    for (const prefix of except) this.#entry(prefix).exceptOf.add(record);
    return true;
  }

  /** @returns the block that was there; the places inside it are to be looked at again */
  remove(id: SetId): Block | undefined {
    const block = this.#known.get(id);
    if (block === undefined) return undefined;
    this.#known.delete(id);
    this.#changes++;
    this.#leave(block.cidr, (entry) => entry.cidrOf.delete(block.record));
    for (const prefix of block.except) this.#leave(prefix, (entry) => entry.exceptOf.delete(block.record));
    return block;
  }

  /** Addresses that have to be found when a block around them changes. */
  track(address: Address): void {
    this.#tracked[familyOf(address)].add(address);
  }

  untrack(address: Address): void {
    this.#tracked[familyOf(address)].delete(address);
  }

  /** Whether a cidr or an except ends at this very place. */
  isStored(place: Place): boolean {
    const { bytes, length, family } = locate(place);
    const entry = this.#tries[family].get(bytes, length);
    return entry !== undefined;
  }

  /** The blocks that hold a place. Until a block changes, places between the same prefixes get one and the same set. */
  holding(place: Place): ReadonlySet<SetRecord> {
    const { bytes, length, family } = locate(place);
    let longest: Entry | undefined;
    for (const entry of this.#tries[family].covering(bytes, length)) longest = entry;
    if (longest === undefined) return NONE;
    if (longest.holding?.of !== this.#changes) {
      longest.holding = { of: this.#changes, blocks: this.#blocksAround(longest.place) };
    }
    return longest.holding.blocks;
  }

  #blocksAround(place: Place): Set<SetRecord> {
    const { bytes, length, family } = locate(place);
    const blocks = new Set<SetRecord>();
    for (const { cidrOf, exceptOf } of this.#tries[family].covering(bytes, length)) {
      for (const record of cidrOf) blocks.add(record);
      for (const record of exceptOf) blocks.delete(record);
    }
    return blocks;
  }

  /** All places whose blocks can change with this one: what is stored or tracked inside, and its own prefixes, also those that are gone. */
  *concerned({ cidr, except }: Block): Generator<Place> {
    for (const prefix of [cidr, ...except]) yield placeOf(prefix);
    const { bytes, length, family } = locate(cidr);
    for (const entry of this.#tries[family].within(bytes, length)) yield entry.place;
    yield* this.#tracked[family].within(bytes, length);
  }

  #entry(at: Place): Entry {
    const { bytes, length, family } = locate(at);
    let entry = this.#tries[family].get(bytes, length);
    if (entry === undefined) {
      entry = { place: placeOf(at), cidrOf: new Set(), exceptOf: new Set() };
      this.#tries[family].set(bytes, length, entry);
    }
    return entry;
  }

  #leave(at: Place, change: (entry: Entry) => void): void {
    const { bytes, length, family } = locate(at);
    const entry = this.#tries[family].get(bytes, length);
    if (entry === undefined) return;
    change(entry);
    if (entry.cidrOf.size === 0 && entry.exceptOf.size === 0) this.#tries[family].delete(bytes, length);
  }
}

/** A prefix of full length is the address itself. */
function placeOf(place: Place): Place {
  const slash = place.indexOf('/');
  if (slash < 0) return place;
  return Number(place.slice(slash + 1)) === bitsOf(familyOf(place)) ? (place.slice(0, slash) as Address) : place;
}

export function isPrefix(place: Place): place is Prefix {
  return place.includes('/');
}

function locate(place: Place): { bytes: Uint8Array; length: number; family: Family } {
  const family = familyOf(place);
  if (!isPrefix(place)) return { bytes: addressBytes(place as Address), length: bitsOf(family), family };
  const { address, length } = splitPrefix(place as Prefix);
  return { bytes: addressBytes(address), length, family };
}
