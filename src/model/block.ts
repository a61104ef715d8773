/** An ipBlock taken apart once, so that asking it about many addresses costs a few byte comparisons. */
import { type Address, addressBytes, type Prefix, splitPrefix } from './address.ts';

interface Start {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

export class Block {
  readonly #cidr: Start;
  readonly #except: readonly Start[];

  constructor(cidr: Prefix, except: readonly Prefix[]) {
    this.#cidr = startOf(cidr);
    this.#except = except.map(startOf);
  }

  holds(address: Address): boolean {
    return this.holdsBytes(addressBytes(address));
  }

  /** The address in network byte order; its length tells the family. */
  holdsBytes(bytes: Uint8Array): boolean {
    return startsWith(bytes, this.#cidr) && !this.#except.some((except) => startsWith(bytes, except));
  }
}

function startOf(prefix: Prefix): Start {
  const { address, length } = splitPrefix(prefix);
  return { bytes: addressBytes(address), bits: length };
}

function startsWith(bytes: Uint8Array, start: Start): boolean {
  if (bytes.length !== start.bytes.length) return false;
  const whole = start.bits >> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== start.bytes[i]) return false;
  const rest = start.bits & 7;
  return (
    rest === 0 || (((bytes[whole] as number) ^ (start.bytes[whole] as number)) & (0xff << (8 - rest)) & 0xff) === 0
  );
}
