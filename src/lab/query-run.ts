/** A file of queries -> answers, by one lab that is there for no longer than that takes. */
import { type Query, QueryError } from '../model/query.ts';
import type { ClusterView } from './cluster-view.ts';
import type { Enforcer } from './enforcer.ts';
import { Lab } from './lab.ts';
import { LabError } from './lab-error.ts';
import type { LabId } from './names.ts';
import type { LabCluster } from './network-plan.ts';
import type { Backend } from './node-plan.ts';
import type { ProbeOutcome } from './probe.ts';
import { Stations } from './station.ts';

export interface QueryRun {
  readonly view: ClusterView;
  readonly queries: readonly Query[];
  readonly backend: Backend;
  readonly enforcer: (lab: Lab) => Enforcer;
}

/** Outcomes in the order of the queries. @throws {LabError | CommandError} nothing is left behind */
export async function answerQueries(run: QueryRun, signal: AbortSignal): Promise<readonly ProbeOutcome[]> {
  const lab = await Lab.start({ cluster: run.view.cluster, backend: run.backend });
  const enforcer = run.enforcer(lab);
  try {
    await enforcer.follow(lab.interfaces());
    await enforcer.settled(run.view.revision, signal);
    return await lab.probeAll(run.queries);
  } finally {
    await enforcer.stop();
    lab.close();
  }
}

/** Whether everybody named is there, before anything is started. @throws {QueryError} naming the places of those that are not */
export function checkQueries(queries: readonly Query[], cluster: LabCluster, placeOf: (index: number) => string): void {
  const stations = new Stations('0' as LabId, cluster);
  const faults = queries.flatMap((query, index) => {
    try {
      stations.pairOf(query);
      return [];
    } catch (error) {
      if (error instanceof LabError) return [`${placeOf(index)}: ${error.message}`];
      throw error;
    }
  });
  if (faults.length > 0) throw new QueryError(faults.join('\n'));
}
