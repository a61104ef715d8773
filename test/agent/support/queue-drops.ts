/** Packets that the kernel had no room for on their way between interfaces of this machine, whoever sent them: a flood elsewhere may push ours out. */
import { readFileSync } from 'node:fs';

/** Since the machine was started; the second column of each CPU's line is `dropped`. */
export function queueDrops(): number {
  const lines = readFileSync('/proc/net/softnet_stat', 'utf8').trim().split('\n');
  return lines.reduce((sum, line) => sum + Number.parseInt(line.split(' ')[1] ?? '0', 16), 0);
}
