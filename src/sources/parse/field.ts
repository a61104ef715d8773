/**
 * A cursor over a plain parsed value: reads typed fields and reports what is wrong under the field's own path.
 * Paths are put together only when something is reported, so reading costs little more than the value itself.
 */

/** Takes a complaint about one field. */
export type Report = (field: string, message: string) => void;

export class Field {
  readonly value: unknown;
  readonly #report: Report;
  readonly #parent: Field | undefined;
  readonly #key: string | number;
  #complained = false;

  constructor(value: unknown, report: Report, parent?: Field, key: string | number = '') {
    this.value = value;
    this.#report = report;
    this.#parent = parent;
    this.#key = key;
  }

  /** Absent and `null` mean the same to the API. */
  get present(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  /** See {@link pathText}. */
  get path(): string {
    return pathText(this.#keys());
  }

  /** The same field with its complaints going elsewhere. */
  reportingTo(report: Report): Field {
    return new Field(this.value, report, this.#parent, this.#key);
  }

  /** Complains about this field; the first complaint is enough. */
  complain(message: string): undefined {
    if (!this.#complained) this.#report(this.path, message);
    this.#complained = true;
    return undefined;
  }

  /** A field of an object; absent when this is absent or no object. */
  child(key: string): Field {
    const object = this.#object();
    const value = object !== undefined && Object.hasOwn(object, key) ? object[key] : undefined;
    return new Field(value, this.#report, this, key);
  }

  /**
   * Complains about each field of an object that is none of these; true when there was none. The API server drops what it
   * does not know, and a rule that lost its misspelt `from` admits everyone.
   */
  only(...known: readonly string[]): boolean {
    const others = this.entries().filter(([key]) => !known.includes(key));
    for (const [, field] of others) field.complain(`is no field of this object; known are ${known.join(', ')}`);
    return others.length === 0;
  }

  /** All fields of an object. */
  entries(): [string, Field][] {
    const object = this.#object() ?? {};
    return Object.keys(object).map((key) => [key, new Field(object[key], this.#report, this, key)]);
  }

  /** The elements of a list; absent is empty. An element `null` would mean an empty object to some readers and is refused. */
  items(): Field[] {
    if (!this.present) return [];
    if (!Array.isArray(this.value)) return this.#expected('a list') ?? [];
    const items = this.value.map((value, index) => new Field(value, this.#report, this, index));
    for (const item of items) if (!item.present) item.complain('must not be null');
    return items;
  }

  text(): string | undefined {
    if (!this.present || typeof this.value === 'string') return (this.value ?? undefined) as string | undefined;
    return this.#expected('text');
  }

  flag(): boolean | undefined {
    if (!this.present || typeof this.value === 'boolean') return (this.value ?? undefined) as boolean | undefined;
    return this.#expected('true or false');
  }

  integer(from: number, to: number): number | undefined {
    if (!this.present) return undefined;
    const { value } = this;
    if (typeof value === 'number' && Number.isInteger(value) && value >= from && value <= to) return value;
    return this.#expected(`a number from ${from} to ${to}`);
  }

  /** Text that must be one of a few. */
  choice<T extends string>(choices: readonly T[]): T | undefined {
    const text = this.text();
    if (text === undefined || choices.includes(text as T)) return text as T | undefined;
    return this.#expected(choices.length === 1 ? String(choices[0]) : `one of ${choices.join(', ')}`);
  }

  /** Text that `valid` accepts; `expected` says what that is. */
  textLike(valid: (text: string) => boolean, expected: string): string | undefined {
    const text = this.text();
    if (text === undefined || valid(text)) return text;
    return this.#expected(expected);
  }

  #keys(): (string | number)[] {
    return this.#parent === undefined ? [] : [...this.#parent.#keys(), this.#key];
  }

  #object(): Record<string, unknown> | undefined {
    if (!this.present) return undefined;
    if (typeof this.value === 'object' && !Array.isArray(this.value)) return this.value as Record<string, unknown>;
    return this.#expected('an object');
  }

  #expected(expected: string): undefined {
    return this.complain(`must be ${expected}, not ${describe(this.value)}`);
  }
}

/** `spec.ingress[0].ports[1].endPort`, or `metadata.labels[app.kubernetes.io/name]`. */
export function pathText(keys: readonly (string | number)[]): string {
  const parts = keys.map((key) => (typeof key === 'string' && /^\w+$/.test(key) ? `.${key}` : `[${key}]`));
  return parts.join('').replace(/^\./, '');
}

/** How a message names an offending value. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
