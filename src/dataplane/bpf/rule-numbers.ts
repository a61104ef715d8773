/**
 * Rules' names -> the numbers that stand for them in maps and events. A number is made from the name, so a restarted
 * agent gives the same ones: maps need no rewriting and events sent before still have their names.
 */
import type { ObjectKey } from '../../model/cluster.ts';
import type { RuleRef } from '../../model/compiled.ts';

/** Names that no ruleset uses any more but an event may: this many are kept. */
const RETIRED_MAX = 65536;

interface Numbered {
  readonly ref: RuleRef;
  readonly number: number;
  uses: number;
}

export class RuleNumbers {
  readonly #byName = new Map<string, Numbered>();
  readonly #byNumber = new Map<number, Numbered>();
  /** In the order of retirement. */
  readonly #retired = new Set<Numbered>();
  #retirements = 0;

  /** Each `take` needs one `release`. Never 0. */
  take(ref: RuleRef): number {
    const name = nameOf(ref);
    let numbered = this.#byName.get(name);
    if (numbered === undefined) {
      numbered = { ref, number: this.#freeNumber(name), uses: 0 };
      this.#byName.set(name, numbered);
      this.#byNumber.set(numbered.number, numbered);
    }
    this.#retired.delete(numbered);
    numbered.uses++;
    return numbered.number;
  }

  release(ref: RuleRef): void {
    const numbered = this.#byName.get(nameOf(ref));
    if (numbered === undefined || --numbered.uses > 0) return;
    this.#retired.add(numbered);
    this.#retirements++;
    if (this.#retired.size <= RETIRED_MAX) return;
    const [oldest] = this.#retired;
    if (oldest !== undefined) this.#forget(oldest);
  }

  /** The rule that a number stands for or, until it is forgotten, stood for. */
  refOf(number: number): RuleRef | undefined {
    return this.#byNumber.get(number)?.ref;
  }

  /** How often a name went out of use, ever. */
  get retirements(): number {
    return this.#retirements;
  }

  /** Whether some ruleset has the rule now. */
  isUsed(number: number): boolean {
    return (this.#byNumber.get(number)?.uses ?? 0) > 0;
  }

  #forget(numbered: Numbered): void {
    this.#retired.delete(numbered);
    this.#byName.delete(nameOf(numbered.ref));
    this.#byNumber.delete(numbered.number);
  }

  /** Two names seldom hash to one number; the later one then takes the next. */
  #freeNumber(name: string): number {
    let number = hash32(name) || 1;
    while (this.#byNumber.has(number)) number = (number + 1) >>> 0 || 1;
    return number;
  }
}

function nameOf({ policy, direction, index }: { policy: ObjectKey; direction: string; index: number }): string {
  return `${policy} ${direction} ${index}`;
}

/** FNV-1a over UTF-16 code units. */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
