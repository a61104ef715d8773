/** A request -> what the running agent has to say: the paths of contract.ts. */
import type { ObjectKey } from '../model/cluster.ts';
import { parseQuery, QueryError } from '../model/query.ts';
import { additionsFor } from '../observe/addition.ts';
import { answerRecord } from '../observe/answer-record.ts';
import { explain } from '../observe/explanation.ts';
import type { FlowLog } from '../observe/flows/flow-log.ts';
import { FlowQueryError } from '../observe/flows/flow-query.ts';
import type { Metrics } from '../observe/metrics/metrics.ts';
import { narrowed } from '../observe/narrow.ts';
import { Reachability } from '../observe/reachability.ts';
import type { AgentView } from './agent-view.ts';
import { type ExplainReply, type FlowQuery, PATHS } from './contract.ts';
import { ApiError, type Ask, type Reply } from './server.ts';
import { type NodeFacts, policyStatus, statusOf } from './status.ts';

export interface Routed {
  readonly view: AgentView;
  readonly facts: NodeFacts;
  readonly flows: FlowLog;
  readonly metrics: Metrics;
}

const PLAIN = { allowed: (text: string) => text, denied: (text: string) => text };
const FLOW_PARAMETERS = ['namespace', 'pod', 'from', 'to', 'port', 'verdict', 'policy', 'since'] as const;

/** @throws {ApiError} */
export async function answerTo(ask: Ask, parts: Routed): Promise<Reply> {
  const { path } = ask;
  const { view, facts, metrics } = parts;
  if (path === PATHS.explain) return asked(ask, 'POST', () => explained(ask.body, view));
  if (path === PATHS.verify) return asked(ask, 'POST', () => verified(view));
  if (path === PATHS.status) return asked(ask, 'GET', async () => ({ json: await statusOf(view, facts) }));
  if (path === PATHS.flows) return asked(ask, 'GET', async () => flowsFor(ask, parts.flows));
  if (path.startsWith(PATHS.policies)) return asked(ask, 'GET', async () => policy(path, view));
  if (path === PATHS.metrics) {
    return asked(ask, 'GET', async () => ({ text: await metrics.text(), type: metrics.contentType }));
  }
  throw new ApiError(404, 'NOT_FOUND', `there is no ${path}; there are ${Object.values(PATHS).join(', ')}`);
}

async function asked(ask: Ask, method: string, answer: () => Promise<Reply>): Promise<Reply> {
  if (ask.method !== method) throw new ApiError(405, 'METHOD', `${ask.path} is asked by ${method}, not ${ask.method}`);
  return answer();
}

async function policy(path: string, view: AgentView): Promise<Reply> {
  const key = decoded(path.slice(PATHS.policies.length)) as ObjectKey;
  const status = policyStatus(view, key);
  if (status === undefined) throw new ApiError(404, 'NO_POLICY', `there is no NetworkPolicy ${key}`);
  return { json: status };
}

function decoded(text: string): string {
  try {
    return decodeURI(text);
  } catch {
    throw new ApiError(400, 'REQUEST', `${text} is not encoded as a path is`);
  }
}

function flowsFor({ parameters, signal }: Ask, flows: FlowLog): Reply {
  try {
    return { lines: flows.open(flowQuery(parameters), signal) };
  } catch (error) {
    if (error instanceof FlowQueryError) throw new ApiError(400, error.code, error.message);
    throw error;
  }
}

/** Each parameter once. What most values mean is the flow log's to say. */
function flowQuery(parameters: URLSearchParams): FlowQuery {
  for (const name of parameters.keys()) {
    if (![...FLOW_PARAMETERS, 'last', 'follow'].includes(name)) throw refused(`flows have no parameter ${name}`);
    if (parameters.getAll(name).length > 1) throw refused(`${name} is given more than once`);
  }
  const query: Record<string, unknown> = { follow: truth(parameters.get('follow') ?? 'false') };
  for (const name of FLOW_PARAMETERS) if (parameters.has(name)) query[name] = parameters.get(name);
  const last = parameters.get('last');
  if (last !== null) {
    if (!/^\d+$/.test(last)) throw refused(`last must be a number from 0, not ${JSON.stringify(last)}`);
    query.last = Number(last);
  }
  return query as unknown as FlowQuery;
}

function truth(value: string): boolean {
  if (value !== 'true' && value !== 'false') {
    throw refused(`follow must be true or false, not ${JSON.stringify(value)}`);
  }
  return value === 'true';
}

function refused(message: string): ApiError {
  return new ApiError(400, 'FLOW_QUERY', message);
}

async function explained(body: string, view: AgentView): Promise<Reply> {
  try {
    const query = parseQuery(body);
    const { objects, judged } = narrowed([...view.objects()], query);
    const { judgesOwnNode = false } = view.dataplane;
    const reachability = new Reachability(objects, { judged, judgesOwnNode });
    const answer = reachability.ask(query);
    const reply: ExplainReply = {
      record: answerRecord(reachability, answer),
      additions: additionsFor(reachability, answer),
      text: explain(reachability, answer, PLAIN),
    };
    return { json: reply };
  } catch (error) {
    if (error instanceof QueryError) throw new ApiError(422, error.code, error.message);
    throw error;
  }
}

async function verified({ dataplane, inForce }: AgentView): Promise<Reply> {
  if (inForce === undefined) throw new ApiError(409, 'NOTHING_IN_FORCE', 'no state is in force yet');
  if (dataplane.observation === undefined) throw new ApiError(501, 'NOT_HERE', `${dataplane.kind} cannot be verified`);
  return { json: await dataplane.observation.verify(inForce.state) };
}
