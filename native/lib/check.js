// Checks of arguments: what is wrong is named here, so that native code need not.

const shown = (value) => (typeof value === 'string' ? JSON.stringify(value) : String(value));

export function checkString(name, value) {
  if (typeof value !== 'string' || value === '' || value.includes('\0')) {
    throw new TypeError(`${name}: expected a non-empty string, got ${shown(value)}`);
  }
  return value;
}

export function checkInteger(name, value, min, max) {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new TypeError(`${name}: expected an integer from ${min} to ${max}, got ${shown(value)}`);
  }
  return value;
}

export const checkUint32 = (name, value) => checkInteger(name, value, 0, 0xffffffff);
export const checkIfindex = (value) => checkInteger('ifindex', value, 1, 0x7fffffff);
export const checkFd = (value) => checkInteger('fd', value, 0, 0x7fffffff);

/** Bytes of exactly `size`, or of any size. */
export function checkBytes(name, value, size) {
  if (!(value instanceof Uint8Array))
    throw new TypeError(`${name}: expected a Buffer or Uint8Array, got ${shown(value)}`);
  if (size !== undefined && value.byteLength !== size) {
    throw new TypeError(`${name}: expected ${size} bytes, got ${value.byteLength}`);
  }
  return value;
}

export function checkOneOf(name, value, allowed) {
  if (!allowed.includes(value)) {
    throw new TypeError(`${name}: expected ${allowed.map(shown).join(' or ')}, got ${shown(value)}`);
  }
  return value;
}

export function checkFunction(name, value) {
  if (typeof value !== 'function') throw new TypeError(`${name}: expected a function, got ${shown(value)}`);
  return value;
}

export function checkInstance(name, value, type) {
  if (!(value instanceof type)) throw new TypeError(`${name}: expected a ${type.name}, got ${shown(value)}`);
  return value;
}

/** An options object with no other keys than these: a misspelled option must not be a silent default. */
export function checkOptions(name, value, keys) {
  if (value === null || typeof value !== 'object')
    throw new TypeError(`${name}: expected an object, got ${shown(value)}`);
  for (const key of Object.keys(value)) {
    if (!keys.includes(key)) throw new TypeError(`${name}: unknown option ${shown(key)}; known are ${keys.join(', ')}`);
  }
  return value;
}

export function checkBoolean(name, value) {
  if (typeof value !== 'boolean') throw new TypeError(`${name}: expected true or false, got ${shown(value)}`);
  return value;
}
