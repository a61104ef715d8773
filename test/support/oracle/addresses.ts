/** Address and CIDR texts as whole numbers, so that "is it inside?" is a shift and a comparison. */
import { isIP } from 'node:net';

export type Family = 'IPv4' | 'IPv6';

export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

export interface Block extends Address {
  readonly prefixLength: number;
}

/** Throws on what is no address, and on IPv4 in IPv6's clothes (`::ffff:1.2.3.4`), which strict API servers reject. */
export function parseAddress(text: string): Address {
  const version = isIP(text);
  if (version === 4) return { family: 'IPv4', value: join(text.split('.').map(Number), 8n) };
  if (version !== 6 || text.includes('%')) throw new Error(`not an IP address: ${text}`);
  if (text.includes('.')) throw new Error(`IPv4 inside of an IPv6 address: ${text}`);
  const [head, tail] = text.split('::').map(groups);
  const front = head ?? [];
  const back = tail ?? [];
  const zeros = new Array<number>(8 - front.length - back.length).fill(0);
  return { family: 'IPv6', value: join([...front, ...zeros, ...back], 16n) };
}

/** Bits behind the prefix length are ignored: `10.0.0.5/24` means `10.0.0.0/24`. */
export function parseBlock(text: string): Block {
  const [address = '', length = ''] = text.split('/');
  const { family, value } = parseAddress(address);
  const prefixLength = Number(length);
  if (!/^\d+$/.test(length) || prefixLength > widthOf(family)) throw new Error(`not a CIDR: ${text}`);
  const host = hostBits(family, prefixLength);
  return { family, value: (value >> host) << host, prefixLength };
}

export function contains(block: Block, address: Address): boolean {
  if (block.family !== address.family) return false;
  const host = hostBits(block.family, block.prefixLength);
  return block.value >> host === address.value >> host;
}

export function widthOf(family: Family): number {
  return family === 'IPv4' ? 32 : 128;
}

/** The address as text; IPv6 as all eight groups, without `::`. */
export function formatAddress({ family, value }: Address): string {
  return family === 'IPv4' ? split(value, 4, 8n).join('.') : split(value, 8, 16n).map(hex).join(':');
}

function hostBits(family: Family, prefixLength: number): bigint {
  return BigInt(widthOf(family) - prefixLength);
}

function groups(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}

function join(parts: readonly number[], bits: bigint): bigint {
  return parts.reduce((sum, part) => (sum << bits) | BigInt(part), 0n);
}

function split(value: bigint, count: number, bits: bigint): bigint[] {
  const mask = (1n << bits) - 1n;
  return Array.from({ length: count }, (_, index) => (value >> (bits * BigInt(count - 1 - index))) & mask);
}

function hex(group: bigint): string {
  return group.toString(16);
}
