/** Interfaces of states and of guards -> their programs: given before a state is in force, taken off when none has them any more. */
import type { DesiredState, LinkRole } from '../contract.ts';
import type { Attachments, LinkOf } from './kernel.ts';

type Links = Pick<DesiredState, 'bindings' | 'exits'>;

export class Interfaces {
  readonly #attachments: Attachments;
  /** Those of the state in force, by role. */
  #known = { pod: new Set<number>(), exit: new Set<number>() };
  /** Those that a state had and the next one had not. */
  readonly #left = { pod: new Set<number>(), exit: new Set<number>() };
  /** Pods' interfaces that get their programs just now, because somebody guards them. */
  readonly #guarding = new Set<number>();
  /** What the last state had, when all of its programs were there; the same maps again are the same interfaces. */
  #ensured: (Links & { readonly version: number }) | undefined;
  /** The bindings and exits that `#known` is of. */
  #noted: Links | undefined;
  /** Some may have come or gone, or their programs, since left-overs were looked for. */
  #unswept = true;
  #sweptVersion: number | undefined;
  /** Programs of an agent before this one were attached, perhaps those of another layout, whose maps we can't read. */
  readonly inherited: boolean;

  constructor(attachments: Attachments) {
    this.#attachments = attachments;
    // What an agent before this one left attached goes, unless the first state or a guard asks for it.
    for (const { ifindex, role } of attachments.attached()) this.#left[role].add(ifindex);
    this.inherited = this.#left.pod.size + this.#left.exit.size > 0;
  }

  /** Of the state in force. */
  get links(): LinkOf[] {
    return (['pod', 'exit'] as const).flatMap((role) => [...this.#known[role]].map((ifindex) => ({ ifindex, role })));
  }

  /** Every index that somebody asks for, or that has programs. */
  get inUse(): ReadonlySet<number> {
    const known = new Set([...this.#known.pod, ...this.#known.exit, ...this.#guarding]);
    for (const { ifindex } of this.#attachments.attached()) known.add(ifindex);
    return known;
  }

  guard(ifindex: number, role: LinkRole): Promise<void> | undefined {
    this.#left[role].delete(ifindex);
    this.#unswept = true;
    const attached = this.#attachments.ensure(ifindex, role, true);
    if (attached === undefined || role === 'exit') return attached;
    this.#guarding.add(ifindex);
    return attached.finally(() => this.#guarding.delete(ifindex));
  }

  forget(ifindex: number): void {
    this.#attachments.forget(ifindex);
    this.#unswept = true;
  }

  /** Resolves when all programs are attached that a state needs to be in force. @throws {BpfError} */
  async ensure({ bindings, exits }: Links): Promise<void> {
    const { version } = this.#attachments;
    const ensured = this.#ensured;
    if (ensured?.bindings === bindings && ensured.exits === exits && ensured.version === version) return;
    const needed: Promise<void>[] = [];
    for (const [ifindex, { kind }] of bindings) {
      const attached = this.#attachments.ensure(ifindex, 'pod');
      attached?.catch(() => {}); // It is waited for below, unless another one fails at once.
      // Nothing is said yet of an unknown interface; whoever guards it waits for its programs, and the others need not.
      if (attached !== undefined && !(kind === 'pending' && this.#guarding.has(ifindex))) needed.push(attached);
    }
    for (const ifindex of exits.keys()) {
      const attached = this.#attachments.ensure(ifindex, 'exit');
      attached?.catch(() => {});
      if (attached !== undefined) needed.push(attached);
    }
    if (needed.length > 0) await Promise.all(needed);
    // Of what went or came meanwhile the next state asks again.
    else this.#ensured = { bindings, exits, version: this.#attachments.version };
  }

  /** A state with these is put in force. */
  note({ bindings, exits }: Links): void {
    if (this.#noted?.bindings === bindings && this.#noted.exits === exits) return;
    this.#noted = { bindings, exits };
    this.#unswept = true;
    const known = { pod: new Set(bindings.keys()), exit: new Set(exits.keys()) };
    for (const role of ['pod', 'exit'] as const) {
      for (const ifindex of this.#known[role]) this.#left[role].add(ifindex);
      for (const ifindex of known[role]) this.#left[role].delete(ifindex);
    }
    this.#known = known;
  }

  /** Takes programs off interfaces that are left over. @returns whether there were any */
  sweep(): boolean {
    if (!this.#unswept && this.#sweptVersion === this.#attachments.version) return false;
    let any = false;
    for (const { ifindex, role } of [...this.#attachments.attached()]) {
      if (!this.#isLeft(ifindex, role)) continue;
      this.#attachments.remove(ifindex, role);
      any = true;
    }
    this.#unswept = false;
    this.#sweptVersion = this.#attachments.version;
    return any;
  }

  /** Of a living interface our programs are taken off only when a state had it in this role: a guarded one is still to come. */
  #isLeft(ifindex: number, role: LinkRole): boolean {
    if (this.#known[role].has(ifindex)) return false;
    return this.#left[role].delete(ifindex) || !this.#attachments.alive(ifindex, role);
  }
}
