/**
 * Services in the lab: each node's rules, written into its network namespace by iptables-restore and kept as they come
 * and go. Only chains of ours are touched, each table in one step.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { type CommandError, run } from '../../child-process.ts';
import { netns } from '../../native.ts';
import { inParallel } from '../in-parallel.ts';
import type { LabCluster } from '../lab-cluster.ts';
import { LabError } from '../lab-error.ts';
import type { NamespacePlan } from './namespace-plan.ts';
import { type Chains, JUMPS, type NodeRules, serviceRules } from './service-rules.ts';

const PROGRAMS = { 4: 'iptables-restore', 6: 'ip6tables-restore' } as const;
const BRIDGED = ['iptables', 'ip6tables'].map((name) => `/proc/sys/net/bridge/bridge-nf-call-${name}`);

export class NodeServices {
  /** By `NAMESPACE FAMILY`, with the namespace's inode: one made anew has nothing. */
  readonly #applied = new Map<string, { readonly inode: number; readonly rules: NodeRules }>();

  /** @throws {LabError} a node cannot translate: a program or something of the kernel is missing */
  async apply(cluster: LabCluster, namespaces: Iterable<NamespacePlan>): Promise<void> {
    const nodes = [...namespaces].flatMap(({ name, place }) => {
      return place.kind === 'node' ? ([4, 6] as const).map((family) => ({ name, node: place.node, family })) : [];
    });
    await inParallel(nodes, 8, async ({ name, node, family }) => {
      const inode = netns.inode(name);
      const key = `${name} ${family}`;
      const earlier = this.#applied.get(key);
      const before = earlier?.inode === inode ? earlier.rules : undefined;
      const rules = serviceRules(cluster, node, family);
      // Written again, rules would forget which client had which backend.
      if (before !== undefined && textOf(before) === textOf(rules)) return;
      if (before === undefined) netns.run(name, passBridged);
      const input = restoreText(rules, before);
      const started = netns.run(name, () => ({ output: run(PROGRAMS[family], ['--noflush', '-w'], { input }) }));
      await started.output.catch((error: CommandError) => {
        throw new LabError(`${node} cannot translate Services: ${error.message}`, { cause: error });
      });
      this.#applied.set(key, { inode, rules });
    });
  }
}

/** What brings a namespace with the rules `before`, or none of ours, to these: each table whole or not at all. */
export function restoreText(rules: NodeRules, before?: NodeRules): string {
  const text = (['nat', 'filter'] as const).map((table) => tableText(table, rules[table], before?.[table]));
  return text.flat().join('\n');
}

function textOf({ nat, filter }: NodeRules): string {
  return JSON.stringify([[...nat], [...filter]]);
}

function tableText(table: keyof NodeRules, chains: Chains, before: Chains | undefined): string[] {
  const gone = [...(before?.keys() ?? [])].filter((name) => !chains.has(name));
  return [
    `*${table}`,
    // A chain that is declared is emptied.
    ...[...chains.keys(), ...gone].map((name) => `:${name} - [0:0]`),
    ...(before === undefined ? JUMPS[table].map((jump) => `-A ${jump}`) : []),
    ...[...chains].flatMap(([name, lines]) => lines.map((line) => `-A ${name} ${line}`)),
    ...gone.map((name) => `-X ${name}`),
    'COMMIT',
    '',
  ];
}

/** Answers between pods of one node stay on the bridge; without this they would not be turned back. */
/** In the namespace that this is called in. @throws {LabError} */
export function passBridged(): void {
  for (const path of BRIDGED) {
    if (!existsSync(path)) {
      throw new LabError(
        'the kernel does not give bridged packets to iptables (br_netfilter), which Services and host ports need',
      );
    }
    writeFileSync(path, '1');
  }
}
