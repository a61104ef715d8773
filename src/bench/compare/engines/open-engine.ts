/** An engine's name -> the engine, up in a lab of its own. */
import type { EngineName } from '../contract.ts';
import { openAgents } from './agents.ts';
import { openEmpty } from './empty.ts';
import type { Engine } from './engine.ts';
import { openNaive } from './naive.ts';
import { openNone } from './none.ts';

const OPEN: Readonly<Record<EngineName, (name: EngineName) => Promise<Engine>>> = {
  none: openNone,
  empty: openEmpty,
  bpf: (name) => openAgents(name, { dataplane: 'bpf' }),
  'ipset-nft': (name) => openAgents(name, { dataplane: 'ipset', variant: 'nft' }),
  'ipset-legacy': (name) => openAgents(name, { dataplane: 'ipset', variant: 'legacy' }),
  'iptables-nft': (name) => openNaive(name, 'nft'),
  'iptables-legacy': (name) => openNaive(name, 'legacy'),
};

/** @throws whatever keeps it from working here; nothing is left behind */
export function openEngine(name: EngineName): Promise<Engine> {
  return OPEN[name](name);
}
