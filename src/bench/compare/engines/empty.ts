/** A program that lets everything pass, on each hook where Selvedge has one: what being asked costs by itself. */
import { fileURLToPath } from 'node:url';
import { HOOKS, namesOf } from '../../../dataplane/bpf/tc-places.ts';
import { attachTc, BpfObject, netlink, netns, type TcLink } from '../../../native.ts';
import type { EngineName } from '../contract.ts';
import { BenchLab } from './bench-lab.ts';
import type { Engine } from './engine.ts';

const OBJECT = fileURLToPath(new URL('../../../../build/bench.bpf.o', import.meta.url));
/** The ways out of a node that the lab gives it: see to_node's places in the data plane. */
const EXITS: readonly string[] = ['eth0', 'flannel.1'];

export async function openEmpty(name: EngineName): Promise<Engine> {
  const lab = await BenchLab.start();
  const links: TcLink[] = [];
  const object = BpfObject.open(OBJECT);
  const close = async () => {
    for (const link of links) link.close();
    object.close();
    lab[Symbol.dispose]();
  };
  try {
    object.load();
    for (const { namespace, pods } of lab.lab.interfaces()) {
      netns.run(namespace, () => links.push(...attachAll(object, new Set(pods.keys()))));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    name,
    ends: (topology, traffic) => lab.ends(topology, traffic),
    load: async () => undefined,
    memory: async () => ({}),
    [Symbol.asyncDispose]: close,
  };
}

function* attachAll(object: BpfObject, pods: ReadonlySet<number>): Generator<TcLink> {
  for (const { ifindex, name } of netlink.links()) {
    const role = pods.has(ifindex) ? 'pod' : EXITS.includes(name) ? 'exit' : undefined;
    if (role === undefined) continue;
    const directions = new Set(namesOf(role).map((program) => HOOKS[program].direction));
    for (const direction of directions) yield attachTc(object.program('empty'), { ifindex, direction });
  }
}
