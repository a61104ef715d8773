/**
 * The JSON of a large object -> that of the few fields that are kept, without reading the rest: a pod has 5 kB, of which
 * 400 bytes matter here, and its other fields change all the time. What is skipped is only followed as far as strings and
 * brackets go. What is not plain to this is left to a whole parse.
 */

/**
 * What is kept of a value: all of it, some fields of an object, or of each element of a list the same. What is put aside is
 * no part of the text, and comes beside it: of what changes all the time, though nothing else does.
 */
export type Shape = 'all' | 'aside' | { readonly fields: Readonly<Record<string, Shape>> } | { readonly each: Shape };

/** A shape with its fields' names as they stand in JSON: text would have to be made of each name that is met, and looked up. */
type Plan = 'all' | 'aside' | { readonly fields: readonly Field[] } | { readonly each: Plan };

interface Field {
  readonly name: Uint8Array;
  readonly plan: Plan;
}

const plans = new WeakMap<object, Plan>();

/** The shapes of this program are few, and made once. */
function planOf(shape: Shape): Plan {
  if (shape === 'all' || shape === 'aside') return shape;
  const known = plans.get(shape);
  if (known !== undefined) return known;
  const plan: Plan =
    'each' in shape
      ? { each: planOf(shape.each) }
      : { fields: Object.entries(shape.fields).map(([name, of]) => ({ name: Buffer.from(name), plan: planOf(of) })) };
  plans.set(shape, plan);
  return plan;
}

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];
const SPACE = 0x20;

export interface Skimmed {
  /** JSON of the same value with what is not kept left out. */
  readonly text: string;
  /** JSON of the last value that was put aside. */
  readonly aside?: string;
}

/** @returns undefined: it has to be parsed whole */
export function skim(json: Buffer, shape: Shape): Skimmed | undefined {
  return new Skim(json).run(planOf(shape));
}

/** Room for what is kept, used again and again. */
let room: Buffer = Buffer.allocUnsafe(16 * 1024);

class Skim {
  readonly #json: Buffer;
  #at = 0;
  #length = 0;
  /** Something was not as it is in JSON, or nothing that this understands. */
  #lost = false;
  #aside: string | undefined;

  constructor(json: Buffer) {
    this.#json = json;
    // What is kept is never more than what there is.
    if (room.length < json.length) room = Buffer.allocUnsafe(json.length * 2);
  }

  run(plan: Plan): Skimmed | undefined {
    this.#value(plan);
    this.#skipSpace();
    if (this.#lost || this.#at !== this.#json.length) return undefined;
    const text = room.toString('utf8', 0, this.#length);
    return this.#aside === undefined ? { text } : { text, aside: this.#aside };
  }

  #value(plan: Plan): void {
    this.#skipSpace();
    const first = this.#json[this.#at];
    if (typeof plan === 'object' && 'fields' in plan && first === OPEN_BRACE) this.#object(plan.fields);
    else if (typeof plan === 'object' && 'each' in plan && first === OPEN_BRACKET) this.#list(plan.each);
    else {
      const from = this.#at;
      this.#skip();
      this.#copy(from, this.#at);
    }
  }

  #object(fields: readonly Field[]): void {
    this.#write(OPEN_BRACE);
    this.#at++;
    let first = true;
    let more = !this.#ends(CLOSE_BRACE);
    while (more) {
      this.#skipSpace();
      const from = this.#at;
      this.#skipName();
      const to = this.#at;
      this.#skipSpace();
      if (this.#json[this.#at++] !== COLON) this.#lost = true;
      if (this.#lost) return;
      const field = this.#fieldAt(from + 1, to - 1, fields);
      if (field === undefined || field.plan === 'aside') {
        this.#skipSpace();
        const begin = this.#at;
        this.#skip();
        if (field !== undefined) this.#aside = this.#json.toString('utf8', begin, this.#at);
      } else {
        if (!first) this.#write(COMMA);
        first = false;
        this.#copy(from, to);
        this.#write(COLON);
        this.#value(field.plan);
      }
      more = this.#goesOn(CLOSE_BRACE);
    }
    this.#write(CLOSE_BRACE);
  }

  #list(each: Plan): void {
    this.#write(OPEN_BRACKET);
    this.#at++;
    let more = !this.#ends(CLOSE_BRACKET);
    while (more) {
      this.#value(each);
      more = this.#goesOn(CLOSE_BRACKET);
      if (more) this.#write(COMMA);
    }
    this.#write(CLOSE_BRACKET);
  }

  /** A field's name; one with escapes may be any. */
  #skipName(): void {
    const json = this.#json;
    let at = this.#at;
    if (json[at] !== QUOTE) this.#lost = true;
    for (at++; at < json.length && json[at] !== QUOTE; at++) if (json[at] === BACKSLASH) this.#lost = true;
    if (at >= json.length) this.#lost = true;
    this.#at = at + 1;
  }

  /** The field whose name stands there. */
  #fieldAt(from: number, to: number, fields: readonly Field[]): Field | undefined {
    for (const field of fields) {
      const { name } = field;
      if (name.length !== to - from) continue;
      let i = 0;
      while (i < name.length && this.#json[from + i] === name[i]) i++;
      if (i === name.length) return field;
    }
    return undefined;
  }

  #ends(close: number): boolean {
    this.#skipSpace();
    if (this.#json[this.#at] !== close) return false;
    this.#at++;
    return true;
  }

  #goesOn(close: number): boolean {
    this.#skipSpace();
    const next = this.#json[this.#at++];
    if (next !== COMMA && next !== close) this.#lost = true;
    return next === COMMA && !this.#lost;
  }

  /** One value, whatever it is. */
  #skip(): void {
    const first = this.#json[this.#at];
    if (first === QUOTE) this.#skipString();
    else if (first === OPEN_BRACE || first === OPEN_BRACKET) this.#skipNested();
    else this.#skipWord();
  }

  /** A number, true, false or null. */
  #skipWord(): void {
    const json = this.#json;
    const from = this.#at;
    let at = from;
    for (; at < json.length; at++) {
      const byte = json[at] as number;
      if (byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || byte <= SPACE) break;
    }
    if (at === from) this.#lost = true;
    this.#at = at;
  }

  #skipNested(): void {
    const json = this.#json;
    let at = this.#at;
    let depth = 0;
    for (; at < json.length; at++) {
      const byte = json[at];
      if (byte === QUOTE) {
        this.#at = at;
        this.#skipString();
        at = this.#at - 1;
      } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
      else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 0) break;
    }
    if (depth !== 0) this.#lost = true;
    this.#at = at + 1;
  }

  #skipString(): void {
    const json = this.#json;
    let at = this.#at + 1;
    while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
    if (at >= json.length) this.#lost = true;
    this.#at = at + 1;
  }

  #skipSpace(): void {
    const json = this.#json;
    while (this.#at < json.length && (json[this.#at] as number) <= SPACE) this.#at++;
  }

  #copy(from: number, to: number): void {
    this.#json.copy(room, this.#length, from, to);
    this.#length += Math.min(to, this.#json.length) - from;
  }

  #write(byte: number): void {
    room[this.#length++] = byte;
  }
}
