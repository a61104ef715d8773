/** ipBlocks around the addresses that matter: pods', nodes' and some outside, with excepts around others of them. */
import fc from 'fast-check';
import { type Address, type Block, type Family, formatAddress, parseAddress, widthOf } from '../oracle/addresses.ts';
import type { IpBlock } from '../oracle/objects.ts';
import { nodeAddress, podAddress } from './places.ts';

/** Addresses outside of the cluster; 10.9.8.7 and fd00:9::7 share short prefixes with the pods. */
export const OUTSIDE_ADDRESSES = [
  '203.0.113.10',
  '203.0.113.77',
  '198.51.100.20',
  '10.9.8.7',
  '2001:db8:203::10',
  '2001:db8:203:8000::77',
  'fd00:9::7',
] as const;

const PREFIX_LENGTHS = {
  IPv4: [0, 8, 12, 16, 22, 23, 24, 25, 28, 29, 30, 31, 32],
  IPv6: [0, 8, 16, 32, 46, 48, 62, 64, 96, 112, 124, 125, 126, 127, 128],
} as const;

export const ipBlock: fc.Arbitrary<IpBlock> = fc.oneof(blockOf('IPv4'), blockOf('IPv6'));

function blockOf(family: Family): fc.Arbitrary<IpBlock> {
  const anchor = fc.constantFrom(...anchorsOf(family));
  return fc
    .record({
      anchor,
      prefixLength: fc.constantFrom(...PREFIX_LENGTHS[family]),
      excepts: fc.array(fc.record({ anchor, longer: fc.constantFrom(1, 2, 3, 4, 8, 16, 32, 64, 128) }), {
        maxLength: 3,
      }),
    })
    .map(({ anchor: around, prefixLength, excepts }) => {
      const block = blockAround(around, prefixLength);
      const except = excepts.flatMap((inner) => exceptIn(block, inner));
      return except.length === 0 ? { cidr: formatBlock(block) } : { cidr: formatBlock(block), except };
    });
}

/** An except must be a strict subset of its block: the anchor's last bits behind the block's prefix. */
function exceptIn(block: Block, { anchor, longer }: { anchor: Address; longer: number }): string[] {
  const width = widthOf(block.family);
  if (block.prefixLength === width) return [];
  const inside = block.value | (anchor.value & hostMask(block));
  const prefixLength = Math.min(width, block.prefixLength + longer);
  return [formatBlock(blockAround({ family: block.family, value: inside }, prefixLength))];
}

function blockAround({ family, value }: Address, prefixLength: number): Block {
  const mask = hostMask({ family, prefixLength });
  return { family, prefixLength, value: value & ~mask };
}

/** The first and last address of a block and those just outside of it. */
export function edgesOf(block: Block): Address[] {
  const last = block.value | hostMask(block);
  const values = [block.value - 1n, block.value, last, last + 1n];
  const inRange = values.filter((value) => value >= 0n && value >> BigInt(widthOf(block.family)) === 0n);
  return inRange.map((value) => ({ family: block.family, value }));
}

/** As inet_ntop writes it: lower case, the longest run of zeros as `::`. */
export function canonicalText(address: Address): string {
  const text = formatAddress(address);
  return address.family === 'IPv4' ? text : new URL(`http://[${text}]`).hostname.slice(1, -1);
}

function formatBlock(block: Block): string {
  return `${canonicalText(block)}/${block.prefixLength}`;
}

function hostMask({ family, prefixLength }: { family: Family; prefixLength: number }): bigint {
  return (1n << BigInt(widthOf(family) - prefixLength)) - 1n;
}

function anchorsOf(family: Family): Address[] {
  const pods = [0, 1, 2].flatMap((node) => [0, 1, 2, 3, 4, 5, 6].map((slot) => podAddress(node, slot, family)));
  const nodes = [0, 1, 2].map((node) => nodeAddress(node, family));
  const all = [...pods, ...nodes, ...OUTSIDE_ADDRESSES].map(parseAddress);
  return all.filter((address) => address.family === family);
}
