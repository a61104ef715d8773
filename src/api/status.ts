/** The running agent -> what `selvedge status` tells: of the node, or of one policy on its pods. */
import { keyOf, type NetworkPolicy, type ObjectKey } from '../model/cluster.ts';
import type { Binding } from '../model/links.ts';
import { NO_LOSSES } from '../model/observation.ts';
import { matches } from '../model/selector.ts';
import type { Hearing } from '../observe/hearing.ts';
import { seldomMeant, seldomMeantInTurns } from '../observe/seldom-meant.ts';
import type { AgentView } from './agent-view.ts';
import type { PolicyStatus, PolicySummary, Status } from './contract.ts';

export interface NodeFacts {
  readonly version: string;
  readonly source: Status['sources']['kind'];
  readonly hearing?: Hearing;
  /** Why this data plane. */
  readonly reason: string;
}

export async function statusOf(view: AgentView, facts: NodeFacts): Promise<Status> {
  const unmeant = await seldomMeantInTurns(view.objects());
  const { inForce, node, dataplane } = view;
  // From here on all is of one moment but what the kernel is asked.
  const faults = view.faults();
  const silences = [...(facts.hearing?.silence().values() ?? [])];
  const lag = silences.length === 0 ? undefined : Math.round(Math.max(...silences));
  const bindings = [...(inForce?.state.bindings.values() ?? [])];
  const endpoints = [...(inForce?.state.compiled.endpoints.values() ?? [])];
  const [maps, losses] = await Promise.all([dataplane.observation?.fill(), dataplane.observation?.losses()]);
  return {
    node,
    version: facts.version,
    startedAt: view.startedAt.toISOString(),
    ready: faults.length === 0,
    faults,
    dataplane: { kind: dataplane.kind, reason: facts.reason },
    sources: { kind: facts.source, synced: view.change.synced, ...(lag !== undefined && { lagSeconds: lag }) },
    interfaces: {
      enforced: bindings.filter(({ kind }) => kind === 'endpoint').length,
      pending: bindings.flatMap(pendingOf),
    },
    pods: {
      known: endpoints.length,
      isolated: endpoints.filter(({ ingress, egress }) => ingress !== undefined || egress !== undefined).length,
    },
    policies: summaries(view),
    maps: maps ?? [],
    losses: losses ?? NO_LOSSES,
    ...(inForce && {
      lastUpdate: {
        at: inForce.at.toISOString(),
        generation: Number(inForce.generation),
        writes: inForce.writes,
        milliseconds: Math.round(inForce.milliseconds * 100) / 100,
      },
    }),
    warnings: [...view.change.warnings, ...unmeant],
  };
}

/** Undefined when there is no such policy. */
export function policyStatus(view: AgentView, key: ObjectKey): PolicyStatus | undefined {
  const policy = view.policy(key);
  if (policy === undefined) return undefined;
  const bound = new Map<ObjectKey, Binding>();
  for (const binding of view.inForce?.state.bindings.values() ?? []) {
    if (binding.kind === 'endpoint') bound.set(binding.pod, binding);
  }
  const compiled = view.inForce?.state.compiled;
  const pods = new Set([...(podsUnder(view).get(key) ?? []), ...selectedHere(view, policy)]);
  const warnings = [...view.change.warnings, ...seldomMeant(view.objects(), key)];
  return {
    ...summary(policy, pods.size),
    pods: [...pods].sort().map((pod) => {
      const since = view.since(key, pod)?.toISOString();
      if (!compiled?.endpoints.has(pod) || since === undefined) return { pod, state: 'pending' };
      return { pod, state: bound.has(pod) ? 'enforced' : 'no-interface', since };
    }),
    warnings: warnings.filter(({ object }) => object === `NetworkPolicy ${key}`),
  };
}

/** Also those that are not in force yet: without an address, or since a moment. */
function selectedHere(view: AgentView, { namespace, podSelector }: NetworkPolicy): ObjectKey[] {
  const selected: ObjectKey[] = [];
  for (const object of view.objects()) {
    if (object.kind !== 'Pod' || object.node !== view.node || object.namespace !== namespace) continue;
    if (object.hostNetwork || object.finished || !matches(podSelector, object.labels)) continue;
    selected.push(keyOf(object));
  }
  return selected;
}

function pendingOf(binding: Binding): Status['interfaces']['pending'][number][] {
  if (binding.kind === 'endpoint') return [];
  const { link, verdict, reason } = binding;
  return [{ name: link.name, verdict, reason }];
}

/** Those that select a pod of this node. */
function summaries(view: AgentView): PolicySummary[] {
  return [...podsUnder(view)]
    .flatMap(([key, pods]) => {
      const policy = view.policy(key);
      return policy === undefined ? [] : [summary(policy, pods.size)];
    })
    .sort((a, b) => (a.policy < b.policy ? -1 : 1));
}

function summary(policy: NetworkPolicy, selects: number): PolicySummary {
  return { policy: keyOf(policy), policyTypes: policy.policyTypes, selects };
}

/** Pods of this node by policy. */
function podsUnder({ inForce }: AgentView): Map<ObjectKey, Set<ObjectKey>> {
  const under = new Map<ObjectKey, Set<ObjectKey>>();
  const compiled = inForce?.state.compiled;
  for (const { pod, ingress, egress } of compiled?.endpoints.values() ?? []) {
    for (const id of [ingress, egress]) {
      for (const policy of (id && compiled?.rulesets.get(id)?.policies) ?? []) {
        const pods = under.get(policy) ?? new Set();
        under.set(policy, pods.add(pod));
      }
    }
  }
  return under;
}
