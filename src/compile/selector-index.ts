/** Finds, among many label selectors, those that select given labels, by trying only those that could. */
import type { Labels, Selector } from '../model/cluster.ts';
import { matches } from '../model/selector.ts';

interface Selecting {
  readonly selector: Selector;
}

/** Entries that ask for a key to have one of some values stand under those; all others are always tried. */
export class SelectorIndex<Entry extends Selecting> {
  readonly #byKey = new Map<string, Map<string, Set<Entry>>>();
  readonly #others = new Set<Entry>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(entry: Entry): void {
    this.#size++;
    const wanted = narrowest(entry.selector);
    if (wanted === undefined) {
      this.#others.add(entry);
      return;
    }
    const byValue = this.#byKey.get(wanted.key) ?? new Map<string, Set<Entry>>();
    this.#byKey.set(wanted.key, byValue);
    for (const value of wanted.values) {
      const entries = byValue.get(value);
      if (entries === undefined) byValue.set(value, new Set([entry]));
      else entries.add(entry);
    }
  }

  /** The entry must be one that was added. */
  delete(entry: Entry): void {
    this.#size--;
    const wanted = narrowest(entry.selector);
    if (wanted === undefined) {
      this.#others.delete(entry);
      return;
    }
    const byValue = this.#byKey.get(wanted.key);
    for (const value of wanted.values) {
      const entries = byValue?.get(value);
      if (entries?.delete(entry) && entries.size === 0) byValue?.delete(value);
    }
    if (byValue?.size === 0) this.#byKey.delete(wanted.key);
  }

  /** Adds to `into` each entry that selects the labels, once. */
  select(labels: Labels, into: Entry[]): void {
    for (const entry of this.#others) if (matches(entry.selector, labels)) into.push(entry);
    for (const [key, byValue] of this.#byKey) {
      const entries = Object.hasOwn(labels, key) ? byValue.get(labels[key] as string) : undefined;
      if (entries === undefined) continue;
      for (const entry of entries) if (matches(entry.selector, labels)) into.push(entry);
    }
  }
}

/** The requirement of the selector that the fewest labels fulfil, as far as can be told. */
function narrowest(selector: Selector): { key: string; values: readonly string[] } | undefined {
  let best: { key: string; values: readonly string[] } | undefined;
  for (const requirement of selector.requirements) {
    if (requirement.operator !== 'In') continue;
    if (best === undefined || requirement.values.length < best.values.length) best = requirement;
  }
  return best;
}
