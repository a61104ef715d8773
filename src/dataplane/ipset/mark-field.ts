/** The bits of skb->mark in which the dispatch carries a ruleset's number from a set's look-up to the jump. */
import { CapacityError } from '../contract.ts';

/** Beside kube-proxy's 0x4000 and 0x8000, as with the BPF data plane. */
export const DEFAULT_MARK_FIELD: MarkField = { shift: 16, bits: 15 };

export interface MarkField {
  readonly shift: number;
  readonly bits: number;
}

export function fieldMask({ shift, bits }: MarkField): number {
  return ((2 ** bits - 1) << shift) >>> 0;
}

/** `0x30000/0x7fff0000`; 0 stands for no ruleset. */
export function markText(field: MarkField, number: number, mask: number = fieldMask(field)): string {
  return `${hex(number << field.shift)}/${hex(mask)}`;
}

/** Numbers of what is known by name, from 1, the least free one first. */
export class MarkNumbers<Name> {
  readonly #field: MarkField;
  readonly #numbers = new Map<Name, number>();

  constructor(field: MarkField) {
    this.#field = field;
  }

  /** Keeps the numbers of those that stay. @throws {CapacityError} the field is too narrow; nothing was changed */
  follow(names: Iterable<Name>): ReadonlyMap<Name, number> {
    const wanted = new Set(names);
    const capacity = 2 ** this.#field.bits - 1;
    if (wanted.size > capacity) throw new CapacityError('rulesets in the mark field', wanted.size, capacity);
    for (const name of this.#numbers.keys()) if (!wanted.has(name)) this.#numbers.delete(name);
    const taken = new Set(this.#numbers.values());
    let next = 1;
    for (const name of wanted) {
      if (this.#numbers.has(name)) continue;
      while (taken.has(next)) next++;
      taken.add(next);
      this.#numbers.set(name, next);
    }
    return new Map(this.#numbers);
  }
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
