// What this kernel and this machine have; each is asked once.
import { addon } from './addon.js';
import { BpfMap, mapFlags } from './bpf-map.js';
import { checkString } from './check.js';
import { native } from './handle.js';

const known = new Map();

function once(key, ask) {
  if (!known.has(key)) known.set(key, ask());
  return known.get(key);
}

export const hasTcx = () => once('tcx', () => addon.hasTcx());

export function hasBatch(mapType) {
  checkString('mapType', mapType);
  return once(`batch ${mapType}`, () => {
    const inner = mapType.endsWith('_of_maps') ? createSample('array') : undefined;
    const map = createSample(mapType, inner);
    try {
      return addon.hasBatch(native(map), map.valueBytes);
    } finally {
      map.close();
      inner?.close();
    }
  });
}

function createSample(type, innerMap) {
  const isTrie = type === 'lpm_trie';
  return BpfMap.create({
    type,
    keySize: isTrie ? 8 : 4,
    valueSize: 4,
    maxEntries: 1,
    flags: isTrie ? mapFlags.noPrealloc : 0,
    ...(innerMap ? { innerMap } : {}),
  });
}

export const possibleCpus = () => once('cpus', () => addon.possibleCpus());

export const tickNanoseconds = () => once('tick', () => addon.tickNanoseconds());

export const libbpfVersion = () => addon.libbpfVersion();
