/** A data plane that only remembers: for tests and dry runs. It judges by the compiled state's own verdict. */
import type { CompiledState } from '../../model/compiled.ts';
import { type Question, type Verdict, verdictOf } from '../../model/verdict.ts';
import type { Applied, Dataplane, DesiredState, LinkRole } from '../contract.ts';

export class MemoryDataplane implements Dataplane {
  readonly kind = 'memory';
  /** Pods' interfaces that were guarded, in order. */
  readonly guarded: number[] = [];
  #state: DesiredState | undefined;
  #generation = 0n;
  #closed = false;

  /** The state in force: a copy, since the caller's is a live view. */
  get state(): DesiredState | undefined {
    return this.#state;
  }

  get closed(): boolean {
    return this.#closed;
  }

  inForce(): undefined {}

  ready(): Promise<void> {
    return Promise.resolve();
  }

  apply(state: DesiredState): Promise<Applied> {
    this.#state = {
      ...state,
      compiled: copyOf(state.compiled),
      bindings: new Map(state.bindings),
      exits: new Map(state.exits),
      ownAddresses: new Set(state.ownAddresses),
    };
    this.#generation++;
    return Promise.resolve({ generation: this.#generation, writes: 1, milliseconds: 0 });
  }

  guard(ifindex: number, role: LinkRole = 'pod'): void {
    if (role === 'pod') this.guarded.push(ifindex);
  }

  forget(): void {}

  /** May this connection be opened now? Before the first state everything may. */
  judge(question: Question): Verdict {
    if (this.#state === undefined) return { allowed: true };
    const { compiled, ownAddresses } = this.#state;
    return verdictOf(compiled, { ownAddresses, ...question });
  }

  close(): void {
    this.#closed = true;
  }
}

function copyOf(state: CompiledState): CompiledState {
  return {
    endpoints: new Map(state.endpoints),
    rulesets: new Map(state.rulesets),
    sets: new Map(
      [...state.sets].map(([id, set]) => [
        id,
        set.kind === 'ipBlock' ? set : { ...set, members: new Set(set.members) },
      ]),
    ),
    memberships: new Map([...state.memberships].map(([address, sets]) => [address, new Set(sets)])),
    awaited: new Map(state.awaited),
  };
}
