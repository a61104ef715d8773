/**
 * One command in every pod that has some labels, by the API server's exec: what each prints, line by line as it comes. A
 * pod that cannot be asked is told of, and the others go on.
 */
import { Writable } from 'node:stream';
import { openKubeconfig, type Whereabouts } from './credentials.ts';

export interface Everywhere extends Whereabouts {
  /** Of the pods. */
  readonly namespace: string;
  /** Label selector of the pods. */
  readonly selector: string;
  readonly container: string;
  readonly command: readonly string[];
  /** May take its time: the pods are read no faster. */
  readonly onLine: (line: string, node: string) => void | Promise<void>;
  /** A node that cannot be asked, or whose command has said something on its standard error. */
  readonly onTrouble: (node: string, message: string) => void;
  readonly signal: AbortSignal;
}

/** There is no such pod, or nobody to say where they are. */
export class NoPodsError extends Error {
  readonly code = 'NO_PODS';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NoPodsError';
  }
}

/** Resolves when all have ended. @returns how many could not be asked, or failed @throws {NoPodsError} @throws Error where no API server is named */
export async function execEverywhere(everywhere: Everywhere): Promise<number> {
  const { namespace, selector } = everywhere;
  const { config } = await openKubeconfig(everywhere);
  const { CoreV1Api, Exec } = await import('@kubernetes/client-node');
  const pods = await podsOf(config.makeApiClient(CoreV1Api), namespace, selector);
  const asked = pods.map(async ({ pod, node }) => {
    try {
      return (await followOne(new Exec(config), pod, node, everywhere)) ? 0 : 1;
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

async function podsOf(
  api: Listing,
  namespace: string,
  labelSelector: string,
): Promise<{ pod: string; node: string }[]> {
  const { items } = await api.listNamespacedPod({ namespace, labelSelector }).catch((cause: unknown) => {
    throw new NoPodsError(`the API server does not say where the pods are: ${messageOf(cause)}`, { cause });
  });
  const pods = items.flatMap(({ metadata, spec, status }) => {
    if (metadata?.name === undefined || status?.phase !== 'Running') return [];
    return [{ pod: metadata.name, node: spec?.nodeName ?? metadata.name }];
  });
  if (pods.length === 0) throw new NoPodsError(`no pod of namespace ${namespace} with ${labelSelector} runs`);
  return pods;
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
  ): Promise<{
    close(): void;
    pause(): void;
    resume(): void;
    on(event: 'close' | 'error' | 'message', listener: (cause: unknown) => void): unknown;
  }>;
}

/** @returns false when it failed and has said why itself */
async function followOne(
  exec: Executing,
  pod: string,
  node: string,
  { namespace, container, command, onLine, onTrouble, signal }: Everywhere,
): Promise<boolean> {
  const out = lineWriter((line) => onLine(line, node));
  let words = '';
  const err = lineWriter((line) => {
    words = line;
    onTrouble(node, line);
  });
  let failure: string | undefined = 'the connection ended before the command did';
  const socket = await exec.exec(
    namespace,
    pod,
    container,
    [...command],
    out,
    err,
    null,
    false,
    ({ status, message }) => {
      failure = status === 'Failure' ? (message ?? 'it failed') : undefined;
    },
  );
  await new Promise<void>((resolve) => {
    const end = () => {
      socket.resume();
      socket.close();
    };
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    // The client does not look whether there is room for more.
    socket.on('message', () => {
      if (!out.writableNeedDrain) return;
      socket.pause();
      out.once('drain', () => socket.resume());
    });
    socket.on('error', (cause) => {
      failure = messageOf(cause);
    });
    socket.on('close', () => resolve());
  });
  await Promise.all([out, err].map((stream) => new Promise<void>((resolve) => stream.end(resolve))));
  if (failure === undefined || signal.aborted) return true;
  if (words === '') throw new Error(failure);
  return false;
}

/** Pieces as they come -> lines. */
function lineWriter(onLine: (line: string) => void | Promise<void>): Writable {
  let rest = '';
  return new Writable({
    decodeStrings: false,
    write: (piece: Buffer | string, _encoding, done) => {
      const lines = (rest + piece.toString()).split('\n');
      rest = lines.pop() as string;
      void each(lines, onLine).then(() => done(), done);
    },
  });
}

async function each(lines: readonly string[], onLine: (line: string) => void | Promise<void>): Promise<void> {
  for (const line of lines) if (line !== '') await onLine(line);
}

/** The client puts whole answers into its messages. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return (error as { message?: string }).message ?? String(error);
  return error.message.split('\n', 1)[0] ?? '';
}
