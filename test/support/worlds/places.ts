/** Where things are in every world: a pod's address follows from its node and slot, so it stays while others shrink. */
import type { Family } from '../oracle/addresses.ts';

/** Slots of pods from the start; pods that an update adds take those from here on. */
export const FIRST_ADDED_SLOT = 12;

export function podAddress(node: number, slot: number, family: Family): string {
  return family === 'IPv4' ? `10.244.${node}.${10 + slot}` : `fd00:10:244:${node}::${(10 + slot).toString(16)}`;
}

export function nodeAddress(node: number, family: Family): string {
  return family === 'IPv4' ? `192.168.50.${11 + node}` : `fd00:192:168:50::${11 + node}`;
}

export function externalAddress(node: number): string {
  return `192.0.2.${11 + node}`;
}

export function nodeName(node: number): string {
  return `node${node + 1}`;
}
