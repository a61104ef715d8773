/** Who sees to it that the nodes of a lab enforce policies: nobody, or one agent for each node. */
import type { NodeInterfaces } from '../lab.ts';

export interface Enforcer {
  /** Enforces on these nodes and no others from now on; for the pods that are there now. */
  follow(nodes: readonly NodeInterfaces[]): Promise<void>;
  /**
   * Resolves when every node enforces the manifests of that revision, on all its pods' interfaces.
   * @throws {LabError} it takes too long, or an agent ended; the signal's reason when it is aborted
   */
  settled(revision: string | undefined, signal?: AbortSignal): Promise<void>;
  /** Resolves when nobody enforces any more. Idempotent. */
  stop(): Promise<void>;
}

/** Everything passes. */
export const NOBODY: Enforcer = {
  follow: async () => {},
  settled: async () => {},
  stop: async () => {},
};
