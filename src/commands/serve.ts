/** What the running agent lets others see: pages for probes and scrapers, and the API on its socket. */
import type { Logger } from 'pino';
import { NEVER } from 'rxjs';
import packageJson from '../../package.json' with { type: 'json' };
import type { Agent } from '../agent.ts';
import { answerTo } from '../api/routes.ts';
import { ApiServer, type Ask } from '../api/server.ts';
import type { NodeFacts } from '../api/status.ts';
import type { CniClaims } from '../cni/claims.ts';
import { answerCni } from '../cni/routes.ts';
import { type HealthAddress, HealthServer } from '../health.ts';
import { briefly } from '../log.ts';
import { NO_LOSSES } from '../model/observation.ts';
import { FlowLog } from '../observe/flows/flow-log.ts';
import { Metrics } from '../observe/metrics/metrics.ts';

export interface ServeOptions {
  readonly claims: CniClaims;
  /** Absent: no pages. */
  readonly health?: HealthAddress;
  /** Absent: no API. */
  readonly socket?: string;
  readonly facts: Omit<NodeFacts, 'version'>;
  /** Metrics by rule too. */
  readonly detail: boolean;
  readonly log: Logger;
}

/** Enforcement hangs on none of this: what cannot be served is told and tried again. */
export function serve(agent: Agent, { claims, health, socket, facts: known, detail, log }: ServeOptions): Disposable {
  const facts = { ...known, version: packageJson.version };
  const failed = (event: string, what: string) => (error: Error, retryMs: number) => {
    log.error({ event, err: briefly(error), retryMs }, what);
    log.debug({ event, err: error }, 'why, in full');
  };
  using open = new DisposableStack();
  const metrics = open.adopt(new Metrics(agent, { ...facts, detail }), (one) => one.close());
  const { names, node, dataplane } = agent;
  const observation = dataplane.observation ?? { verdicts: NEVER, losses: async () => NO_LOSSES };
  const flows = open.adopt(new FlowLog({ names, node, observation }), (one) => one.close());
  flows.start();
  if (health !== undefined) {
    const faults = () => agent.faults();
    const onFailure = failed('health-failed', 'no health pages');
    open.adopt(new HealthServer({ address: health, faults, metrics, onFailure }), (one) => one.close());
  }
  if (socket !== undefined) {
    const routed = { view: agent, facts, flows, metrics };
    const answer = (ask: Ask) => answerCni(ask, { view: agent, claims }) ?? answerTo(ask, routed);
    const onFailure = failed('api-failed', 'no API: status, flows and explain cannot be asked here');
    open.adopt(new ApiServer({ socket, answer, onFailure }), (one) => one.close());
  }
  return open.move();
}
