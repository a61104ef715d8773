/** What the lab measured against what the policies' text comes to by computation: each verdict that differs, in words. */
import { keyOf } from '../../model/cluster.ts';
import { endText, type Query, QueryError } from '../../model/query.ts';
import { computeMatrix } from '../../observe/compute-matrix.ts';
import { columnName, compareMatrices, type Matrix, type MatrixChange } from '../../observe/matrix.ts';
import { Reachability } from '../../observe/reachability.ts';
import type { ClusterView } from '../cluster-view.ts';
import { contestedAddresses, runningPods } from '../lab-cluster.ts';
import { translated } from '../network/service-ports.ts';
import type { ProbeOutcome } from './probe-attempt.ts';

/** What no verdict was found for is not judged, nor are pods that share an address, which the lab cannot tell apart. */
export function matrixDifferences(view: ClusterView, measured: Matrix): readonly string[] {
  const contested = contestedPods(view);
  const { changes } = compareMatrices(computeMatrix(new Reachability(view.objects)), measured);
  return changes
    .filter(({ from, to, after }) => after !== 'error' && !contested.has(from) && !contested.has(to))
    .map(differenceText);
}

export interface Answers {
  readonly view: ClusterView;
  readonly queries: readonly Query[];
  /** In the queries' order. */
  readonly outcomes: readonly ProbeOutcome[];
  /** Whether nodes translated Services: of a node's port that leads to a pod, computing says nothing. */
  readonly services: boolean;
}

/** For each query what differs, or undefined. */
export function answerDifferences(answers: Answers): readonly (string | undefined)[] {
  const { view, queries, outcomes, services } = answers;
  const reachability = new Reachability(view.objects);
  return queries.map((query, index) => {
    const { verdict } = outcomes[index] as ProbeOutcome;
    const computed = services && isTurned(view, reachability, query) ? undefined : computedVerdict(reachability, query);
    if (verdict === 'error' || computed === undefined || verdict === computed.verdict) return undefined;
    const { from, to, port, protocol } = query;
    const ends = { from: endText(from), to: endText(to), port, protocol, family: computed.family };
    return differenceText({ ...ends, before: computed.verdict, after: verdict });
  });
}

/** Undefined where the question has no answer by computation: it is about a Service, or an address of several. */
function computedVerdict(reachability: Reachability, query: Query) {
  try {
    const { allowed, family } = reachability.ask(query);
    return { verdict: allowed ? 'allow' : 'deny', family } as const;
  } catch (error) {
    if (error instanceof QueryError) return undefined;
    throw error;
  }
}

/** Whether it is about a port of a node that leads to a pod. */
function isTurned({ cluster }: ClusterView, { places }: Reachability, { to, port, protocol }: Query): boolean {
  if (to.kind === 'pod') return false;
  const node = cluster.nodes.find(({ name }) => places.addressesOf(name).has(to.address));
  return (
    node !== undefined && translated(cluster, { address: to.address, port, protocol, node: node.name }) !== undefined
  );
}

function differenceText({ from, to, port, protocol, family, before, after }: MatrixChange): string {
  return `${from} → ${columnName({ pod: to, port, protocol })} over ${family}: ${before} by the policies, ${after} by connection`;
}

function contestedPods({ cluster }: ClusterView): ReadonlySet<string> {
  const pods = runningPods(cluster);
  const contested = contestedAddresses(pods);
  return new Set(pods.filter((pod) => pod.addresses.some((address) => contested.has(address))).map(keyOf));
}
