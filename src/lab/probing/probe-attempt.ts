/** What a probe asks, what it may come to, and what an attempt over one protocol is to it. */
import type { Protocol } from '../../model/cluster.ts';
import type { Station } from './station.ts';

export interface Probe {
  readonly from: Station;
  readonly to: Station;
  readonly protocol: Protocol;
  readonly port: number;
}

export type ProbeOutcome =
  /** `answeredBy` is absent when the port was refused, and for SCTP. */
  | { readonly verdict: 'allow'; readonly answeredBy?: string }
  | { readonly verdict: 'deny' }
  | { readonly verdict: 'error'; readonly reason: string };

/** Ends the probe; only the first call counts. */
export type Settle = (outcome: ProbeOutcome) => void;

export interface Attempt {
  /** Whether a connection was made on which nobody has spoken yet. */
  readonly connected: boolean;
  /** Asks again; nothing where the attempt does so by itself or a new one is made instead. */
  repeat(): void;
  close(): void;
}

/** The outcome when the other end has said its name, or nothing and ended. */
export function answered(text: string): ProbeOutcome {
  const name = text.trim();
  return name === '' ? { verdict: 'allow' } : { verdict: 'allow', answeredBy: name };
}
