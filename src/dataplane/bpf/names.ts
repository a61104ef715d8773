/** Numbers in events -> names, those of the generation that an event was judged under, also when they mean something else by now. */
import type { ObjectKey } from '../../model/cluster.ts';

/** Former meanings that are kept, for each kind of number. */
const FORMER_MAX = 16384;

interface Meaning<V> {
  /** The first generation in which the number means this. */
  readonly since: bigint;
  readonly value: V | undefined;
}

/** What a number meant, by generation. */
export class NameHistory<V> {
  readonly #meanings = new Map<number, Meaning<V>[]>();
  /** Numbers that mean something in the last generation. */
  #current = new Set<number>();
  /** Numbers in the order in which a meaning of theirs became a former one. */
  readonly #former: number[] = [];

  /** From this generation on these are all the numbers that mean something. */
  record(generation: bigint, current: Iterable<readonly [number, V]>): void {
    const seen = new Set<number>();
    for (const [number, value] of current) {
      seen.add(number);
      this.#set(generation, number, value);
    }
    for (const number of this.#current) if (!seen.has(number)) this.#set(generation, number, undefined);
    this.#current = seen;
  }

  at(generation: bigint, number: number): V | undefined {
    return this.#meanings.get(number)?.findLast(({ since }) => since <= generation)?.value;
  }

  #set(generation: bigint, number: number, value: V | undefined): void {
    const meanings = this.#meanings.get(number);
    if (meanings === undefined) {
      if (value !== undefined) this.#meanings.set(number, [{ since: generation, value }]);
      return;
    }
    if (meanings.at(-1)?.value === value) return;
    meanings.push({ since: generation, value });
    this.#former.push(number);
    if (this.#former.length > FORMER_MAX) this.#forgetOldest();
  }

  #forgetOldest(): void {
    const number = this.#former.shift() as number;
    const meanings = this.#meanings.get(number);
    meanings?.shift();
    if (meanings?.length === 1 && meanings[0]?.value === undefined) this.#meanings.delete(number);
  }
}

/** Who stands behind the numbers of one generation. */
export interface Names {
  readonly pods: NameHistory<ObjectKey>;
  /** By ruleset: the policies that isolate. */
  readonly policies: NameHistory<readonly ObjectKey[]>;
}

export function makeNames(): Names {
  return { pods: new NameHistory(), policies: new NameHistory() };
}
