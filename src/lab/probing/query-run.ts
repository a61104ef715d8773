/** A file of queries -> answers, by one lab that is there for no longer than that takes. */
import type { Query } from '../../model/query.ts';
import type { Enforcer } from '../agents/enforcer.ts';
import type { ClusterView } from '../cluster-view.ts';
import { Lab } from '../lab.ts';
import type { Backend } from '../network/node-plan.ts';
import type { ProbeOutcome } from './probe-attempt.ts';

export interface QueryRun {
  readonly view: ClusterView;
  readonly queries: readonly Query[];
  readonly backend: Backend;
  /** See LabOptions. */
  readonly services?: boolean;
  readonly cni?: boolean;
  readonly enforcer: (lab: Lab) => Enforcer;
}

/** Outcomes in the order of the queries. @throws {LabError | CommandError} nothing is left behind */
export async function answerQueries(run: QueryRun, signal: AbortSignal): Promise<readonly ProbeOutcome[]> {
  const lab = await Lab.start({ ...run, cluster: run.view.cluster });
  const enforcer = run.enforcer(lab);
  try {
    await enforcer.follow(lab.interfaces());
    await enforcer.settled(run.view.revision, signal);
    const outcomes = await lab.probeAll(run.queries);
    signal.throwIfAborted();
    return outcomes;
  } finally {
    await enforcer.stop();
    lab.close();
  }
}
