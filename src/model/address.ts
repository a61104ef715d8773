/**
 * IP addresses and prefixes in one canonical spelling, so that text can serve as a key everywhere:
 * IPv4 as dotted decimal, IPv6 as RFC 5952 has it, a prefix with its host bits cleared.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** An IPv4 or IPv6 address in its canonical spelling. */
export type Address = string & { readonly __address: unique symbol };
/** `ADDRESS/LENGTH` in its canonical spelling, host bits zero. */
export type Prefix = string & { readonly __prefix: unique symbol };
export type Family = 4 | 6;

/**
 * The canonical spelling of an address; undefined when the text is none.
 * Strict as the API server is: four decimal parts without leading zeros for IPv4, no zone, no brackets.
 */
export function parseAddress(text: string): Address | undefined {
  const version = isIP(text);
  // IPv4 without leading zeros has one spelling.
  if (version === 4) return text as Address;
  if (version === 0 || text.includes('%')) return undefined;
  const parsed = ipaddr.parse(text);
  return canonical(parsed);
}

/** The canonical spelling of `ADDRESS/LENGTH`, its host bits cleared; undefined when the text is none. */
export function parsePrefix(text: string): Prefix | undefined {
  const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  if (match === null) return undefined;
  const address = parseAddress(match[1] as string);
  if (address === undefined) return undefined;
  const length = Number(match[2]);
  if (length > bitsOf(familyOf(address))) return undefined;
  return prefixOf(address, length);
}

/** The prefix of `length` bits that holds the address. */
export function prefixOf(address: Address, length: number): Prefix {
  const bytes = addressBytes(address);
  for (let bit = length; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3] = (bytes[bit >> 3] as number) & ~(0x80 >> (bit & 7));
  }
  return `${addressOf(bytes)}/${length}` as Prefix;
}

export function familyOf(value: Address | Prefix): Family {
  return value.includes(':') ? 6 : 4;
}

export function bitsOf(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** The address in network byte order: 4 bytes for IPv4, 16 for IPv6. */
export function addressBytes(address: Address): Uint8Array {
  if (familyOf(address) === 4) return bytes4(address);
  return Uint8Array.from(ipaddr.parse(address).toByteArray());
}

/** By hand: a large cluster asks for a hundred thousand. */
function bytes4(address: Address): Uint8Array {
  const bytes = new Uint8Array(4);
  let part = 0;
  for (let i = 0; i < address.length; i++) {
    const code = address.charCodeAt(i);
    if (code === 0x2e) part++;
    else bytes[part] = (bytes[part] as number) * 10 + code - 0x30;
  }
  return bytes;
}

/** The canonical address of 4 or 16 bytes in network byte order. */
export function addressOf(bytes: Uint8Array): Address {
  return canonical(ipaddr.fromByteArray([...bytes]));
}

/** A prefix taken apart: its network address and its length in bits. */
export function splitPrefix(prefix: Prefix): { address: Address; length: number } {
  const slash = prefix.indexOf('/');
  return { address: prefix.slice(0, slash) as Address, length: Number(prefix.slice(slash + 1)) };
}

/** Whether the outer prefix holds every address of the inner prefix or address; never across families. */
export function covers(outer: Prefix, inner: Prefix | Address): boolean {
  if (familyOf(outer) !== familyOf(inner)) return false;
  const { address, length } = splitPrefix(outer);
  const slash = inner.indexOf('/');
  if (slash >= 0 && Number(inner.slice(slash + 1)) < length) return false;
  const innerAddress = (slash < 0 ? inner : inner.slice(0, slash)) as Address;
  return sameStart(addressBytes(address), addressBytes(innerAddress), length);
}

function sameStart(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (a[i] !== b[i]) return false;
  const rest = bits & 7;
  return rest === 0 || (((a[whole] as number) ^ (b[whole] as number)) & (0xff << (8 - rest)) & 0xff) === 0;
}

function canonical(parsed: ipaddr.IPv4 | ipaddr.IPv6): Address {
  return (parsed.kind() === 'ipv4' ? parsed.toString() : (parsed as ipaddr.IPv6).toRFC5952String()) as Address;
}
