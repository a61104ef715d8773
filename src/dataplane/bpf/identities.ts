/**
 * Places (addresses, prefixes) -> identities: one number for "exactly these sets". An identity whose holders all move
 * together keeps its number, so that only its rows are written again and not every holder's entry.
 */
import type { Place } from './blocks.ts';
import { NumberPool } from './number-pool.ts';
import type { SetRecord } from './set-records.ts';

export interface Identity {
  readonly number: number;
  /** Sorted by number; empty only for the world. */
  readonly sets: readonly SetRecord[];
  readonly holders: number;
}

interface Held extends Identity {
  key: string;
  sets: readonly SetRecord[];
  holders: number;
}

/** Sets of a place from now on; undefined: the place has no entry any more. Many places share one object. */
export type PlaceSets = ReadonlyMap<Place, Iterable<SetRecord> | undefined>;

/** Identities that are new, gone, or mean something else, with the sets that they had or have. */
export type Meanings = ReadonlyMap<Identity, ReadonlySet<SetRecord>>;

interface Group {
  readonly key: string;
  readonly sets: readonly SetRecord[];
  readonly places: Place[];
}

export class Identities {
  readonly #world: Held;
  readonly #byKey = new Map<string, Held>();
  readonly #ofPlace = new Map<Place, Held>();
  readonly #numbers: NumberPool;
  #freed: number[] = [];

  /** @param avoid identities below it are first given only where `wish` asks for them */
  constructor(world: number, avoid: number) {
    this.#world = { number: world, key: '', sets: [], holders: 0 };
    this.#byKey.set('', this.#world);
    this.#numbers = new NumberPool(world + 1, avoid);
  }

  /** Those that there are, the world's too. */
  all(): Iterable<Identity> {
    return this.#byKey.values();
  }

  /** Everything that has an identity. */
  places(): Iterable<Place> {
    return this.#ofPlace.keys();
  }

  numberOf(place: Place): number | undefined {
    return this.#ofPlace.get(place)?.number;
  }

  move(changes: PlaceSets, wish: (place: Place) => number | undefined): Meanings {
    const meanings = new Map<Identity, Set<SetRecord>>();
    const groups = this.#group(changes);
    for (const [old, targets] of groups) if (old !== undefined) this.#rekey(old, targets, meanings);
    for (const [old, targets] of groups) {
      for (const group of targets.values()) {
        const target =
          group.key === GONE ? undefined : (this.#byKey.get(group.key) ?? this.#make(group, wish, meanings));
        for (const place of group.places) {
          if (target === undefined) this.#ofPlace.delete(place);
          else this.#ofPlace.set(place, target);
        }
        if (old !== undefined) old.holders -= group.places.length;
        if (target !== undefined) target.holders += group.places.length;
      }
    }
    for (const old of groups.keys()) if (old !== undefined) this.#freeUnheld(old, meanings);
    return meanings;
  }

  /** Gives back the numbers of identities that are gone; call it when nothing refers to them any more. */
  settle(): void {
    for (const number of this.#freed) this.#numbers.release(number);
    this.#freed = [];
  }

  /** The places that change, by the identity that they had and the sets that they will have. */
  #group(changes: PlaceSets): Map<Held | undefined, Map<string, Group>> {
    const groups = new Map<Held | undefined, Map<string, Group>>();
    const known = new Map<Iterable<SetRecord> | undefined, Meaning>();
    for (const [place, sets] of changes) {
      const old = this.#ofPlace.get(place);
      const meaning = known.get(sets) ?? meaningOf(sets);
      known.set(sets, meaning);
      const { key, sorted } = meaning;
      if (old === undefined ? key === GONE : old.key === key) continue;
      const targets = groups.get(old) ?? new Map<string, Group>();
      groups.set(old, targets);
      const group = targets.get(key);
      if (group === undefined) targets.set(key, { key, sets: sorted, places: [place] });
      else group.places.push(place);
    }
    return groups;
  }

  /** If all holders leave, the largest group that has no identity yet takes this one along. */
  #rekey(old: Held, targets: Map<string, Group>, meanings: Map<Identity, Set<SetRecord>>): void {
    if (old === this.#world) return;
    let leaving = 0;
    let largest: Group | undefined;
    for (const group of targets.values()) {
      leaving += group.places.length;
      if (group.key === GONE || this.#byKey.has(group.key)) continue;
      if (largest === undefined || group.places.length > largest.places.length) largest = group;
    }
    if (leaving < old.holders || largest === undefined) return;
    this.#unindex(old, meanings);
    old.key = largest.key;
    old.sets = largest.sets;
    this.#index(old, meanings);
    targets.delete(largest.key);
  }

  #make(group: Group, wish: (place: Place) => number | undefined, meanings: Map<Identity, Set<SetRecord>>): Held {
    const number = this.#numbers.take(wish(group.places[0] as Place));
    const identity: Held = { number, key: group.key, sets: group.sets, holders: 0 };
    this.#index(identity, meanings);
    return identity;
  }

  #freeUnheld(identity: Held, meanings: Map<Identity, Set<SetRecord>>): void {
    if (identity.holders > 0 || identity === this.#world) return;
    this.#unindex(identity, meanings);
    this.#freed.push(identity.number);
  }

  #index(identity: Held, meanings: Map<Identity, Set<SetRecord>>): void {
    this.#byKey.set(identity.key, identity);
    for (const set of identity.sets) set.identities.add(identity);
    note(meanings, identity);
  }

  #unindex(identity: Held, meanings: Map<Identity, Set<SetRecord>>): void {
    if (this.#byKey.get(identity.key) === identity) this.#byKey.delete(identity.key);
    for (const set of identity.sets) set.identities.delete(identity);
    note(meanings, identity);
  }
}

interface Meaning {
  readonly key: string;
  readonly sorted: readonly SetRecord[];
}

function meaningOf(sets: Iterable<SetRecord> | undefined): Meaning {
  if (sets === undefined) return { key: GONE, sorted: [] };
  const sorted = [...sets].sort((a, b) => a.number - b.number);
  return { key: sorted.map((set) => set.number).join(), sorted };
}

/** Key of "no entry": no list of numbers looks like it. */
const GONE = 'gone';

function note(meanings: Map<Identity, Set<SetRecord>>, identity: Identity): void {
  const sets = meanings.get(identity);
  if (sets === undefined) meanings.set(identity, new Set(identity.sets));
  else for (const set of identity.sets) sets.add(set);
}
