import { BpfMap } from '../../lib/index.js';

/** Pairs of a u32 key and a value, in the order of the keys. */
export const sorted = (entries) => entries.map(([key, value]) => [key.readUInt32LE(), value]).sort(([a], [b]) => a - b);
export const numbers = (count) => Array.from({ length: count }, (_, i) => i);

/** A small map for the time of `use`. */
export function withMap(options, use) {
  const map = BpfMap.create({ keySize: 4, valueSize: 8, maxEntries: 16, ...options });
  try {
    return use(map);
  } finally {
    map.close();
  }
}
