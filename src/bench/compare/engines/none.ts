/** No program and no rule. */
import type { EngineName } from '../contract.ts';
import { BenchLab } from './bench-lab.ts';
import type { Engine } from './engine.ts';

export async function openNone(name: EngineName): Promise<Engine> {
  const lab = await BenchLab.start();
  return {
    name,
    ends: (topology, traffic) => lab.ends(topology, traffic),
    load: async () => undefined,
    memory: async () => ({}),
    [Symbol.asyncDispose]: async () => lab[Symbol.dispose](),
  };
}
