/**
 * What one node's enforcement takes of the kernel's memory. BPF: what the kernel accounts for each pinned map, and for the maps
 * in it. ipset: what it tells of its sets; the rules beside them are not known.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../child-process.ts';
import { mapDirectories } from '../../../dataplane/bpf/pins.ts';
import { BpfMap, netns } from '../../../native.ts';

/** Bytes. @param directory where an agent pins */
export function bpfMemory(directory: string): number {
  let bytes = 0;
  for (const path of mapDirectories(directory)) {
    for (const file of readdirSync(path)) {
      using map = BpfMap.openPinned(join(path, file));
      bytes += accountedOf(map.info.id);
      if (!map.info.type.endsWith('_of_maps')) continue;
      for (const key of map.keys()) {
        using inner = map.getInner(key);
        if (inner !== undefined) bytes += accountedOf(inner.info.id);
      }
    }
  }
  return bytes;
}

/** Bytes of all sets of a network namespace. */
export async function ipsetMemory(namespace: string): Promise<number> {
  const { text } = netns.run(namespace, () => ({ text: run('ipset', ['list', '-terse']) }));
  const sizes = (await text).matchAll(/^Size in memory: (\d+)$/gm);
  return [...sizes].reduce((sum, [, bytes]) => sum + Number(bytes), 0);
}

/** The kernel tells it to whoever has the map open, in /proc. */
function accountedOf(id: number): number {
  for (const fd of readdirSync('/proc/self/fdinfo')) {
    const text = infoOf(fd);
    if (Number(/^map_id:\s*(\d+)$/m.exec(text)?.[1]) !== id) continue;
    return Number(/^memlock:\s*(\d+)$/m.exec(text)?.[1] ?? 0);
  }
  return 0;
}

/** Empty for one that was closed meanwhile: the directory's own. */
function infoOf(fd: string): string {
  try {
    return readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
  } catch {
    return '';
  }
}
