/**
 * iptables as naive engines write it: what is established passes first, then each pod has one rule for each policy, peer and
 * port, one after the other, and a drop at their end. No sets.
 */
import { run } from '../../../child-process.ts';
import type { Variant } from '../../../dataplane/ipset/programs.ts';
import type { Direction } from '../../../model/cluster.ts';
import { netns } from '../../../native.ts';
import type { EngineName } from '../contract.ts';
import {
  addressesOf,
  addressOfPod,
  isSelected,
  type NodeName,
  nodeOfPod,
  type PlannedPolicy,
  POD_NAMES,
  type PodName,
  plannedPolicies,
} from '../world.ts';
import { BenchLab } from './bench-lab.ts';
import { type Engine, EngineError } from './engine.ts';
import { monotonicMs } from './monotonic.ts';

const EMPTY = '*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n';

export async function openNaive(name: EngineName, variant: Variant): Promise<Engine> {
  // Where it is missing it says so here, before anything is made.
  await run(`iptables-${variant}`, ['--version']).catch((cause) => {
    throw new EngineError(`iptables-${variant} is not installed`, { cause });
  });
  const lab = await BenchLab.start();
  const restore = async (rules: (node: NodeName) => string) => {
    for (const [node, namespace] of lab.nodes) {
      const text = rules(node);
      const started = () => ({ done: run(`iptables-${variant}-restore`, ['-w', '30'], { input: text }) });
      await netns.run(namespace, started).done;
    }
  };
  return {
    name,
    ends: (topology, traffic) => lab.ends(topology, traffic),
    load: async (policies) => {
      await restore(() => EMPTY);
      if (policies === 0) return undefined;
      const planned = [...plannedPolicies(policies)];
      const texts = new Map([...lab.nodes.keys()].map((node) => [node, naiveRules(node, planned)]));
      const at = monotonicMs();
      await restore((node) => texts.get(node) ?? EMPTY);
      return monotonicMs() - at;
    },
    memory: async () => ({}),
    [Symbol.asyncDispose]: async () => lab[Symbol.dispose](),
  };
}

/** The filter table of a node, for iptables-restore. */
export function naiveRules(node: NodeName, policies: readonly PlannedPolicy[]): string {
  const pods = POD_NAMES.filter((name) => isSelected(name) && nodeOfPod(name) === node);
  const sides = (['egress', 'ingress'] as const).flatMap((direction) => pods.map((pod) => ({ direction, pod })));
  return [
    '*filter',
    ':INPUT ACCEPT',
    ':FORWARD ACCEPT',
    ':OUTPUT ACCEPT',
    ...sides.map((side) => `:${chainOf(side)} -`),
    '-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT',
    ...sides.map((side) => {
      return `-A FORWARD ${side.direction === 'egress' ? '-s' : '-d'} ${addressOfPod(side.pod)} -j ${chainOf(side)}`;
    }),
    ...sides.flatMap((side) => [...policies.flatMap((policy) => rulesOf(policy, side)), `-A ${chainOf(side)} -j DROP`]),
    'COMMIT',
    '',
  ].join('\n');
}

interface Side {
  readonly direction: Direction;
  readonly pod: PodName;
}

/** RETURN: the other end's chain is to be asked too. */
function rulesOf({ peers, ports }: PlannedPolicy, side: Side): string[] {
  const way = side.direction === 'egress' ? '-d' : '-s';
  return addressesOf(peers[side.direction]).flatMap((address) =>
    ports.map(({ protocol, from, to }) => {
      const name = protocol.toLowerCase();
      return `-A ${chainOf(side)} ${way} ${address} -p ${name} -m ${name} --dport ${from}${to > from ? `:${to}` : ''} -j RETURN`;
    }),
  );
}

function chainOf({ direction, pod }: Side): string {
  return `BENCH-${direction === 'egress' ? 'OUT' : 'IN'}-${pod}`;
}
