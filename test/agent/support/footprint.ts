/** What an agent holds: memory and descriptors of its process, pins in its folder, entries in its maps. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BpfMap } from '../../../src/native.ts';

export interface Footprint {
  /** Resident, in MiB. */
  readonly memory: number;
  readonly descriptors: number;
  readonly pins: number;
  /** By map, both copies together; elements that are all zero are those of an array where nothing was written. */
  readonly entries: Readonly<Record<string, number>>;
}

/** Extents of it are left as they are when nobody looks at them any more. */
const POOLS = new Set(['ports']);
const SKIPPED = new Set(['generation', 'events', 'losses', 'fragments']);

export function footprintOf(pid: number, pinDir: string): Footprint {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const pins = readdirSync(pinDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const entries: Record<string, number> = {};
  for (const folder of readdirSync(pinDir).filter((name) => name.startsWith('maps-'))) {
    for (const file of readdirSync(join(pinDir, folder))) {
      const name = file.replace(/_(left|right)$/, '');
      if (POOLS.has(name) || SKIPPED.has(name)) continue;
      entries[name] = (entries[name] ?? 0) + countEntries(join(pinDir, folder, file));
    }
  }
  return {
    memory: Math.round(Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    pins: pins.length,
    entries,
  };
}

/** Of the maps alone: when two in a row are equal, what was to be done is done. */
export function totalOf({ pins, entries }: Footprint): string {
  return JSON.stringify([pins, entries]);
}

function countEntries(path: string): number {
  using map = BpfMap.openPinned(path);
  const { count, values } = map.entriesBatch();
  if (!map.info.type.startsWith('array')) return count;
  const size = values.length / Math.max(1, count);
  let written = 0;
  for (let i = 0; i < count; i++) if (values.subarray(i * size, (i + 1) * size).some((byte) => byte !== 0)) written++;
  return written;
}
