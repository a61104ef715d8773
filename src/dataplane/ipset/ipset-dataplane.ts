/**
 * The ipset/iptables data plane: wanted states -> sets, chains and the guard of the pods' interfaces, for nodes without BPF.
 *
 * Everything exists twice, as with BPF: only the side that no packet reads is written, and one `ipset swap` puts it in
 * force, for all chains and sets of a family at once. So neither `ipset restore` nor two tables need be one transaction.
 */
import type { Address, Family } from '../../model/address.ts';
import type { RulesetId } from '../../model/compiled.ts';
import type { Verification } from '../../model/observation.ts';
import { type NflogPacket, NflogReader } from '../../native.ts';
import type { Applied, Dataplane, DesiredState, Hint, LinkRole, Unprotected } from '../contract.ts';
import { BridgePorts } from './bridge-ports.ts';
import { CountSums, type RuleCount, untoldOf } from './counters.ts';
import { DropDecoder } from './drop-events.ts';
import { FamilyRules } from './family-rules.ts';
import { type GuardedLink, LOGGED_BYTES } from './guard-text.ts';
import { DEFAULT_MARK_FIELD, MarkNumbers } from './mark-field.ts';
import type { Hook } from './names.ts';
import { IpsetObservation } from './observation.ts';
import type { IpsetDataplaneOptions } from './options.ts';
import { guardedLinks, PortGuard } from './port-guard.ts';
import type { Programs } from './programs.ts';
import { RegularAudit } from './regular-audit.ts';
import { linesOf } from './script.ts';
import { settledAll } from './settled-all.ts';
import type { Wanted } from './side-content.ts';
import { wantedOf } from './wanted.ts';

export type { Damage, IpsetDataplaneOptions } from './options.ts';

const AUDIT_EVERY = 10_000;
/** 0x5e1, as our other places. */
export const NFLOG_GROUP = 0x5e1;
const FAMILIES: readonly Family[] = [4, 6];
/** Lines of an update (50 ms of writing) that the other side gets at once too: the next update would wait for it. */
const LARGE = 500;
/** Milliseconds without a change after which the other side gets what it lacks. */
const REST = 200;

export class IpsetDataplane implements Dataplane {
  readonly kind = 'ipset';
  readonly judgesOwnNode: boolean;
  readonly observation: IpsetObservation;
  readonly #programs: Programs;
  readonly #options: IpsetDataplaneOptions;
  readonly #families: readonly FamilyRules[];
  readonly #guard: PortGuard;
  readonly #ports: BridgePorts;
  readonly #numbers: MarkNumbers<RulesetId>;
  readonly #drops = new DropDecoder();
  #reader: NflogReader | undefined;
  readonly #audits: RegularAudit;
  /** One update or audit at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  #steps = 0;
  #state: DesiredState | undefined;
  #generation = 0n;
  #closed = false;
  /** States that wait for their turn. */
  #waiting = 0;
  #rest: NodeJS.Timeout | undefined;

  constructor(programs: Programs, options: IpsetDataplaneOptions = {}) {
    const field = options.markField ?? DEFAULT_MARK_FIELD;
    this.judgesOwnNode = options.judgeOwnNode ?? false;
    const hooks: readonly Hook[] = this.judgesOwnNode ? ['FORWARD', 'INPUT'] : ['FORWARD'];
    const { onEvent, nflogGroup = onEvent && NFLOG_GROUP } = options;
    this.#programs = programs;
    this.observation = new IpsetObservation(this, programs);
    this.#options = options;
    this.#numbers = new MarkNumbers(field);
    this.#guard = new PortGuard(programs, nflogGroup);
    this.#ports = new BridgePorts(programs, options.families ?? FAMILIES, options);
    this.#families = (options.families ?? FAMILIES).map((family) => {
      return new FamilyRules({ family, hooks, programs, field, ...(nflogGroup !== undefined && { nflogGroup }) });
    });
    if (nflogGroup !== undefined) this.#readEvents(nflogGroup, onEvent);
    const [look, mend, steps] = [() => this.#look(), () => this.audit(), () => this.#steps];
    this.#audits = new RegularAudit({ every: options.auditEvery ?? AUDIT_EVERY, look, mend, steps });
  }

  get generation(): bigint {
    return this.#generation;
  }

  /** As of the last update or audit; empty when all pods are enforced. */
  get unprotected(): readonly Unprotected[] {
    return this.#ports.unprotected;
  }

  /** Goes on until the first state. */
  inForce(): ReadonlyMap<number, readonly Address[]> | undefined {
    return this.#options.inherited;
  }

  async ready(): Promise<void> {
    await this.#turn;
  }

  apply(state: DesiredState, hint: Hint): Promise<Applied> {
    this.#waiting++;
    clearTimeout(this.#rest);
    return this.#inTurn(async () => {
      this.#waiting--;
      const start = performance.now();
      this.#state = state;
      for (const family of this.#families) family.miss(hint);
      const writes = await this.#put(state);
      return { generation: this.#generation, writes, milliseconds: performance.now() - start };
    });
  }

  /** Before the first state nothing is known of anybody, so nothing is closed: what an agent before left goes on. */
  guard(ifindex: number, role: LinkRole = 'pod'): void {
    if (role !== 'pod' || this.#closed || this.#state?.pending !== 'closed') return;
    const link = this.#ports.links().find((one) => one.ifindex === ifindex);
    if (link === undefined) return;
    const { name, master } = link;
    this.#inTurn(() => this.#guard.close({ name, bridged: master !== undefined })).catch((error) => {
      this.#options.onDamage?.({ what: [`the guard of ${name}`], error });
    });
  }

  /** Guards are by name, and looked at with every state. */
  forget(): void {}

  /** Looks whether what is ours is as it was left, and writes it again if not. Never rejects. */
  async audit(): Promise<void> {
    await this.#inTurn(async () => {
      const found: string[] = [];
      try {
        found.push(...(await this.#look()));
        if (found.length === 0 || this.#state === undefined) return;
        this.#forget();
        await this.#put(this.#state);
        this.#options.onDamage?.({ what: found });
      } catch (error) {
        this.#options.onDamage?.({ what: found, error });
      }
    }).catch(() => {});
  }

  /** What each rule admitted and what was dropped, by the policies' names, since this data plane was opened. */
  async counts(): Promise<Exclude<RuleCount, { verdict: 'told' }>[]> {
    return (await this.#sums()).filter((count) => count.verdict !== 'told');
  }

  /** Drops by rulesets that no event told of, since there were too many at a time. */
  async untold(): Promise<bigint> {
    return this.#reader === undefined ? 0n : untoldOf(await this.#sums());
  }

  #sums(): Promise<RuleCount[]> {
    return this.#inTurn(async () => {
      const sums = new CountSums();
      for (const family of this.#families) sums.addAll(await family.counts());
      return sums.values();
    });
  }

  /** Reads all that is in force and compares it with the state that was applied last; nothing before the first. */
  verify(): Promise<Verification> {
    return this.#inTurn(async () => {
      const generation = Number(this.#generation);
      if (this.#state === undefined) return { generation, compared: 0, differences: [] };
      const [wanted, links] = [this.#wanted(this.#state), this.#guardedLinks(this.#state)];
      const parts = [
        ...(await settledAll(this.#families.map((family) => family.verify(wanted)))),
        await this.#guard.verify(links),
      ];
      const compared = parts.reduce((sum, part) => sum + part.compared, 0);
      return { generation, compared, differences: parts.flatMap(({ differences }) => differences) };
    });
  }

  close(): void {
    this.#closed = true;
    this.#audits.close();
    clearTimeout(this.#rest);
    this.#reader?.close();
    this.#options.lock?.release();
  }

  #readEvents(group: number, onEvent: IpsetDataplaneOptions['onEvent']): void {
    const onPacket = (packet: NflogPacket) => {
      const event = this.#drops.event(packet, this.#generation);
      if (event === undefined) return;
      onEvent?.(event);
      this.observation.tell(event);
    };
    this.#reader = this.#programs.within(() => new NflogReader({ group, onPacket, bytes: LOGGED_BYTES }).unref());
  }

  async #put(state: DesiredState): Promise<number> {
    try {
      await settledAll(this.#families.map((family) => family.ready()));
      const drafts = this.#draft(state);
      const written = settledAll(drafts.map(({ family, draft }) => family.write(draft)));
      // While the programs run; and names before the flip: an event may come before this call is over.
      const guarded = this.#prepareGuard(state);
      this.#drops.follow(state);
      await settledAll<unknown>([written, guarded]);
      const [lines, { links, guards }] = [await written, await guarded];
      const flips = [...lines.map(({ flip }) => flip), ...lines.flatMap(({ removals }) => removals)];
      await this.#programs.restoreSets([...lines.flatMap(({ members }) => members), ...flips]);
      for (const { family } of drafts) family.flipped();
      this.#generation++;
      const writes = drafts.reduce((sum, { draft }) => sum + linesOf(draft.script), 0);
      const { catchUpAfter = REST } = this.#options;
      const catchUp = () => void this.#inTurn(() => this.#catchUp()).catch(() => {});
      if (catchUpAfter > 0) this.#rest = setTimeout(catchUp, catchUpAfter).unref();
      if (writes > LARGE || this.#families.some((family) => family.isOvergrown)) catchUp();
      return writes + guards + flips.length + (await this.#guard.finish(links));
    } catch (error) {
      this.#forget();
      throw error;
    }
  }

  /**
   * Brings the idle sides to the state in force, and clears them of what it needs no more. What fails here the next update
   * meets again, and tells.
   */
  async #catchUp(): Promise<void> {
    if (this.#closed || this.#state === undefined) return;
    try {
      await settledAll(this.#families.map((family) => family.ready()));
      // With the state that waits comes what may differ in it: this one may be changed already.
      if (this.#waiting > 0) return;
      const drafts = this.#draft(this.#state, { clears: true });
      const lines = await settledAll(drafts.map(({ family, draft }) => family.write(draft)));
      await this.#programs.restoreSets(lines.flatMap(({ members, removals }) => [...members, ...removals]));
    } catch (error) {
      this.#forget();
      throw error;
    }
  }

  /** All of it in one go: an audit's state may change as soon as this waits. */
  #draft(state: DesiredState, options: { readonly clears?: boolean } = {}) {
    const wanted = this.#wanted(state);
    return this.#families.map((family) => ({ family, draft: family.draft(wanted, options) }));
  }

  #wanted(state: DesiredState): Wanted {
    return wantedOf(state, this.#numbers.follow(state.compiled.rulesets.keys()));
  }

  async #prepareGuard(state: DesiredState) {
    const links = this.#guardedLinks(state);
    return { links, guards: await this.#guard.prepare(links) };
  }

  #guardedLinks(state: DesiredState): readonly GuardedLink[] {
    return guardedLinks(state, this.#ports.look(state));
  }

  #forget(): void {
    for (const family of this.#families) family.forget();
    this.#guard.forget();
  }

  /** What in the kernel is not as it was left, by how much there is of it: cheaper than `verify`. */
  damages(): Promise<string[]> {
    return this.#inTurn(() => this.#damages());
  }

  async #look(): Promise<string[]> {
    if (this.#closed || this.#state === undefined) return [];
    this.#ports.look(this.#state);
    return await this.#damages();
  }

  async #damages(): Promise<string[]> {
    const found = await Promise.all(
      this.#families.map(async (family) => {
        const damages = await family.damages();
        return damages.map((what) => `${what} (IPv${family.family})`);
      }),
    );
    return [...found.flat(), ...(await this.#guard.damages())];
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const count = () => void this.#steps++;
    const turn = this.#turn.then(count).then(step).finally(count);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
