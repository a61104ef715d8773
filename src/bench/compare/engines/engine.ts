/** What the benchmark asks of whoever decides about packets in one of its labs. */
import type { Ends, EngineName, Sample, Topology, Traffic } from '../contract.ts';
import type { Feed } from './feed.ts';

export interface Engine extends AsyncDisposable {
  readonly name: EngineName;
  /** For those with an agent. */
  readonly agents?: FedAgents;
  ends(topology: Topology, traffic: Traffic): Ends;
  /**
   * Puts so many policies in force, from none at all.
   * @returns milliseconds that it took; undefined where there is nothing to load
   */
  load(policies: number, signal: AbortSignal): Promise<number | undefined>;
  /** `kernel-memory`, `agent-memory`: what of it is known. */
  memory(): Promise<Sample>;
}

/**
 * Agents that follow changes one by one. They stand still unless they are woken, so that none disturbs what is measured of
 * another engine; what they have put in force stays so.
 */
export interface FedAgents {
  readonly feed: Feed;
  /** Lets them run as long as the work takes. */
  awake<T>(work: () => Promise<T>): Promise<T>;
  /** Resolves when they are through with what was due while they stood still. */
  calm(signal: AbortSignal): Promise<void>;
  /** Resolves when all agents are at the feed's revision. */
  settled(signal: AbortSignal): Promise<void>;
}

/** An engine that cannot be had here, or has failed; says why. */
export class EngineError extends Error {
  readonly code = 'ENGINE';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EngineError';
  }
}
