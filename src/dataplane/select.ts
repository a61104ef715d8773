/**
 * Which data plane a node gets: the one asked for or, with `auto`, the first that works when it is really tried. It stays
 * for the life of the agent. What another one has left on the node goes once the first state is in force on this one.
 */
import type { Applied, Dataplane, DesiredState, Hint } from './contract.ts';

export type DataplaneKind = 'bpf' | 'ipset';
export type DataplaneChoice = 'auto' | DataplaneKind;

/** Best first. */
export const KINDS: readonly DataplaneKind[] = ['bpf', 'ipset'];

export interface Candidate {
  /** Opens it and does, on something of its own, what it would do for a pod. What it has made goes when it throws. */
  open(): Promise<{ readonly dataplane: Dataplane; readonly detail?: string }>;
  /** Whether something of it is in force, left by an agent before. */
  isInForce(): Promise<boolean>;
  /** Takes every trace of it off the node; nothing happens where there is none. */
  remove(): Promise<unknown>;
}

export interface Refusal {
  readonly kind: DataplaneKind;
  readonly error: unknown;
}

export interface Selection {
  /** As opened, but for what happens after its first state. */
  readonly dataplane: Dataplane;
  /** The very one that was opened. */
  readonly opened: Dataplane;
  readonly kind: DataplaneKind;
  /** `it was asked for`, `bpf is not possible here: ...`; for a log line, a metric, and who asks why. */
  readonly reason: string;
  /** Those that were tried before. */
  readonly refusals: readonly Refusal[];
}

export interface SelectOptions {
  readonly choice: DataplaneChoice;
  readonly candidates: Readonly<Record<DataplaneKind, Candidate>>;
  /** Told when the other data plane's traces could not be removed; that is tried again after the next state. */
  readonly onRemains?: (kind: DataplaneKind, error: unknown) => void;
}

/** None of those that were tried works here. */
export class NoDataplaneError extends Error {
  readonly code = 'NO_DATAPLANE';
  readonly refusals: readonly Refusal[];

  constructor(refusals: readonly Refusal[]) {
    const words = refusals.map(({ kind, error }) => `${kind}: ${messageOf(error)}`);
    super(`no data plane is possible here: ${words.join('; ')}`, { cause: refusals.at(-1)?.error });
    this.name = 'NoDataplaneError';
    this.refusals = refusals;
  }
}

/** @throws {NoDataplaneError} */
export async function selectDataplane({ choice, candidates, onRemains }: SelectOptions): Promise<Selection> {
  const refusals: Refusal[] = [];
  for (const kind of choice === 'auto' ? KINDS : [choice]) {
    try {
      const { dataplane: opened, detail } = await candidates[kind].open();
      const others = KINDS.filter((other) => other !== kind);
      const succeeds = await anyInForce(others.map((other) => candidates[other]));
      const remove = async () => {
        for (const other of others) await removeOne(other, candidates[other], onRemains);
      };
      const reason = reasonOf(choice, refusals, detail);
      return { dataplane: succeeding(opened, remove, succeeds), opened, kind, reason, refusals };
    } catch (error) {
      if (isNotTheNodes(error)) throw error;
      refusals.push({ kind, error });
    }
  }
  throw new NoDataplaneError(refusals);
}

/** It works here, but not for this agent as it was started: see NOT_THE_NODES. Nothing else would be right. */
function isNotTheNodes(error: unknown): boolean {
  return error instanceof Error && 'code' in error && NOT_THE_NODES.has(error.code);
}

/** Another agent has it; its pins would go with the process; parts of two versions are together. */
const NOT_THE_NODES: ReadonlySet<unknown> = new Set([
  'DIRECTORY_IN_USE',
  'NETWORK_IN_USE',
  'PRIVATE_MOUNTS',
  'ABI_MISMATCH',
]);

async function anyInForce(candidates: readonly Candidate[]): Promise<boolean> {
  for (const candidate of candidates) if (await candidate.isInForce()) return true;
  return false;
}

/**
 * The data plane itself, but that those before it are removed once it enforces a whole state: until then both do. Where
 * one does enforce, the node is not one where nothing is in force yet, whatever the new data plane itself finds: so
 * nobody puts a state in force before the whole one, and what is there is not replaced by less.
 */
function succeeding(dataplane: Dataplane, removeOthers: () => Promise<void>, succeeds: boolean): Dataplane {
  let remaining = true;
  const apply = async (state: DesiredState, hint: Hint): Promise<Applied> => {
    const applied = await dataplane.apply(state, hint);
    if (!remaining) return applied;
    remaining = false;
    // A state that is in force stays so, whatever became of the others' traces.
    await removeOthers().catch(() => {
      remaining = true;
    });
    return applied;
  };
  return new Proxy(dataplane, {
    get: (target, name) => {
      if (name === 'apply') return apply;
      // What is there is judged by the one before: closed by this one, it would be cut off until the whole state is in force.
      if (name === 'begin' && succeeds && target.inForce() === undefined) return () => target.begin?.('open');
      if (name === 'inForce') return () => target.inForce() ?? (succeeds ? new Map() : undefined);
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

async function removeOne(
  kind: DataplaneKind,
  candidate: Candidate,
  onRemains: SelectOptions['onRemains'],
): Promise<void> {
  try {
    await candidate.remove();
  } catch (error) {
    onRemains?.(kind, error);
    throw error;
  }
}

function reasonOf(choice: DataplaneChoice, refusals: readonly Refusal[], detail: string | undefined): string {
  const words = refusals.map(({ kind, error }) => `${kind} is not possible here: ${messageOf(error)}`);
  if (choice !== 'auto') words.push('it was asked for');
  else if (words.length === 0) words.push('it is the best that there is, and works here');
  return [...words, ...(detail === undefined ? [] : [detail])].join('; ');
}

/** Its first line: behind it a verifier may have said much more, which stays in the error itself. */
function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] ?? '';
}
