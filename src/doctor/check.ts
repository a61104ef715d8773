/** What a check is, and what it finds: the words of `selvedge doctor`. */
import type { NodeFacts } from './node-facts.ts';

/** `unknown`: what it takes to know is not given to this process; it says nothing of the node. */
export type CheckStatus = 'ok' | 'warning' | 'failure' | 'unknown';

export const GROUPS = ['kernel', 'data plane', 'cni', 'services', 'other engines', 'agent'] as const;
export type Group = (typeof GROUPS)[number];

export interface Finding {
  readonly status: CheckStatus;
  /** What is there. */
  readonly found: string;
  /** What that means for the policies; absent where it is plain. */
  readonly means?: string;
  /** What to do; always there for a warning and a failure. */
  readonly todo?: string;
}

export interface Check {
  /** Stable: what scripts ask for. */
  readonly id: string;
  readonly group: Group;
  /** What it looks at, for the table in docs/operations.md. */
  readonly looksAt: string;
  run(node: NodeFacts): Finding | Promise<Finding>;
}

export interface Result extends Finding {
  readonly id: string;
  readonly group: Group;
}

/** What it takes to know is missing: told, never taken for a fault of the node. */
export class CannotKnowError extends Error {
  readonly code = 'CANNOT_KNOW';
  constructor(what: string, options?: ErrorOptions) {
    super(what, options);
    this.name = 'CannotKnowError';
  }
}

export function ok(found: string, means?: string): Finding {
  return { status: 'ok', found, ...(means !== undefined && { means }) };
}

export function warning(found: string, means: string, todo: string): Finding {
  return { status: 'warning', found, means, todo };
}

export function failure(found: string, means: string, todo: string): Finding {
  return { status: 'failure', found, means, todo };
}

export function unknown(found: string, todo = 'run it as root'): Finding {
  return { status: 'unknown', found, todo };
}
