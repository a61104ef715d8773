/**
 * Flows of every node: the agents' pods are asked of the API server, and `selvedge flows` is run in each by its exec. What
 * one of them tells comes line by line; one that cannot be asked is told of, and the others go on.
 */
import { Writable } from 'node:stream';
import type { FlowLine } from '../api/contract.ts';

export interface Everywhere {
  readonly kubeconfig?: string;
  readonly context?: string;
  /** Of the agents' pods. */
  readonly namespace: string;
  /** Label selector of the agents' pods. */
  readonly selector: string;
  /** The arguments of `selvedge flows` in each pod. */
  readonly args: readonly string[];
  readonly onLine: (line: FlowLine) => void;
  /** A node that cannot be asked, or whose agent has said something on its standard error. */
  readonly onTrouble: (node: string, message: string) => void;
  readonly signal: AbortSignal;
}

/** There is no agent to ask, or nobody to say where they are. */
export class NoAgentsError extends Error {
  readonly code = 'NO_AGENTS';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NoAgentsError';
  }
}

const CONTAINER = 'agent';

/** Resolves when all have ended. @returns how many could not be asked @throws {NoAgentsError} */
export async function flowsEverywhere(everywhere: Everywhere): Promise<number> {
  // Takes half a second to load, which nobody else has to wait for.
  const { CoreV1Api, Exec, KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  const { kubeconfig, context, namespace, selector } = everywhere;
  if (kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(kubeconfig);
  if (context !== undefined) config.setCurrentContext(context);
  const agents = await agentsOf(config.makeApiClient(CoreV1Api), namespace, selector);
  const asked = agents.map(async ({ pod, node }) => {
    try {
      await followOne(new Exec(config), pod, node, everywhere);
      return 0;
    } catch (error) {
      everywhere.onTrouble(node, messageOf(error));
      return 1;
    }
  });
  const failures: number[] = await Promise.all(asked);
  return failures.reduce((sum, one) => sum + one, 0);
}

interface Listing {
  listNamespacedPod(request: { namespace: string; labelSelector: string }): Promise<{
    items: readonly { metadata?: { name?: string }; spec?: { nodeName?: string }; status?: { phase?: string } }[];
  }>;
}

async function agentsOf(
  api: Listing,
  namespace: string,
  labelSelector: string,
): Promise<{ pod: string; node: string }[]> {
  const { items } = await api.listNamespacedPod({ namespace, labelSelector }).catch((cause: unknown) => {
    throw new NoAgentsError(`the API server does not say where the agents are: ${messageOf(cause)}`, { cause });
  });
  const agents = items.flatMap(({ metadata, spec, status }) => {
    if (metadata?.name === undefined || status?.phase !== 'Running') return [];
    return [{ pod: metadata.name, node: spec?.nodeName ?? metadata.name }];
  });
  if (agents.length > 0) return agents;
  throw new NoAgentsError(
    `no pod of namespace ${namespace} with ${labelSelector} runs: where are the agents (--agent-namespace, --agent-selector)?`,
  );
}

interface Executing {
  exec(
    namespace: string,
    pod: string,
    container: string,
    command: string[],
    stdout: Writable,
    stderr: Writable,
    stdin: null,
    tty: boolean,
    onStatus: (status: { status?: string; message?: string }) => void,
  ): Promise<{ close(): void; on(event: 'close' | 'error', listener: (cause: unknown) => void): unknown }>;
}

async function followOne(
  exec: Executing,
  pod: string,
  node: string,
  { namespace, args, onLine, onTrouble, signal }: Everywhere,
): Promise<void> {
  const out = lineWriter((line) => onLine(JSON.parse(line) as FlowLine));
  let words = '';
  const err = lineWriter((line) => {
    words = line;
    onTrouble(node, line);
  });
  let failure: string | undefined;
  const command = ['selvedge', 'flows', '-o', 'json', ...args];
  const socket = await exec.exec(namespace, pod, CONTAINER, command, out, err, null, false, ({ status, message }) => {
    if (status === 'Failure') failure = message ?? 'it failed';
  });
  await new Promise<void>((resolve) => {
    const end = () => socket.close();
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    socket.on('error', (cause) => {
      failure ??= messageOf(cause);
    });
    socket.on('close', () => resolve());
  });
  if (failure !== undefined && words === '' && !signal.aborted) throw new Error(failure);
}

/** Pieces as they come -> lines. */
function lineWriter(onLine: (line: string) => void): Writable {
  let rest = '';
  return new Writable({
    decodeStrings: false,
    write: (piece: Buffer | string, _encoding, done) => {
      const lines = (rest + piece.toString()).split('\n');
      rest = lines.pop() as string;
      for (const line of lines) if (line !== '') onLine(line);
      done();
    },
  });
}

/** The client puts whole answers into its messages. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return (error as { message?: string }).message ?? String(error);
  return error.message.split('\n', 1)[0] ?? '';
}
