// What all handles share: an idempotent close, children first, and a clear error for those who come late.
import { ClosedError } from './errors.js';

/** The native object behind a handle, for this package alone. @throws ClosedError */
export let native;

export class Handle {
  #native;
  #label;
  #parent;
  #children = new Set();

  /** `label` names it in errors; a `parent` closes it when it is closed itself. */
  constructor(native, label, parent) {
    this.#native = native;
    this.#label = label;
    this.#parent = parent;
    parent?.#children.add(this);
  }

  get closed() {
    return this.#native === undefined;
  }

  close() {
    for (const child of [...this.#children].reverse()) child.close();
    this.#parent?.#children.delete(this);
    this.#parent = undefined;
    const native = this.#native;
    this.#native = undefined;
    native?.close();
  }

  [Symbol.dispose]() {
    this.close();
  }

  static {
    native = (handle) => {
      if (handle.#native === undefined) throw new ClosedError(handle.#label);
      return handle.#native;
    };
  }
}

/** Classes with factories only: their constructors take this, which nobody outside has. */
export const internal = Symbol('selvedge-libbpf');

export function requireInternal(token, name) {
  if (token !== internal) throw new TypeError(`${name} has no public constructor`);
}
