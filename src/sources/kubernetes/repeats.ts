/**
 * Objects of late -> whether a line says of one what the line before said. A pod that starts has many changes within seconds,
 * of which most are in fields that are not kept: what is left of their lines is the same text, and need not be read again.
 */
import type { ObjectKey } from '../../model/cluster.ts';

/** Of so many objects; about half a kilobyte each. Forgetting one costs another look at its next line, nothing else. */
const REMEMBERED = 1024;

export class Repeats {
  /** The last text of each, the longest unchanged first. It has the object's name in it, so no two have the same. */
  readonly #texts = new Map<ObjectKey, string>();
  readonly #known = new Set<string>();

  has(text: string): boolean {
    return this.#known.has(text);
  }

  /** Something came about an object. @param text all of what is kept; undefined: it is not known as a text */
  note(key: ObjectKey, text: string | undefined): void {
    this.#forget(key);
    if (text === undefined) return;
    if (this.#texts.size >= REMEMBERED) this.#forget(this.#texts.keys().next().value as ObjectKey);
    this.#texts.set(key, text);
    this.#known.add(text);
  }

  #forget(key: ObjectKey): void {
    const text = this.#texts.get(key);
    if (text === undefined) return;
    this.#texts.delete(key);
    this.#known.delete(text);
  }
}
