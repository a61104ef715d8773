/**
 * Interfaces -> our programs on them: from_pod and to_pod on a pod's link, to_node or to_node_l3 on a way out. By pinned TCX links where
 * the kernel has them, which outlive the agent and change their program in place; else by clsact filters in a place of
 * our own, which stay by themselves and are replaced atomically.
 */
import { mkdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  type AttachTcOptions,
  attachTc,
  attachTcInBackground,
  type BpfProgram,
  features,
  listTc,
  netlink,
  type TcLink,
} from '../../native.ts';
import type { LinkRole, StaleLink } from '../contract.ts';
import type { ProgramName } from './abi.ts';
import type { Attachments, LinkOf } from './kernel.ts';
import {
  CLSACT_PLACE,
  clsactFilters,
  HOOKS,
  isGone,
  nameOf,
  namesOf,
  openFilter,
  openPinned,
  PROGRAMS,
  parseName,
  pinnedLinks,
  removeFilter,
  removePinned,
  unlessGone,
} from './tc-places.ts';
import { Turns } from './turns.ts';

const MAC_LENGTH = 'aa:bb:cc:dd:ee:ff'.length;

export interface TcAttachmentsOptions {
  /** Where links are pinned. */
  readonly directory: string;
  readonly mode?: 'auto' | 'tcx' | 'clsact';
  program(name: ProgramName): BpfProgram;
}

/** The program of this process, or that of an agent before; `unverified`: perhaps a corpse's. */
type Running = 'ours' | 'older' | 'unverified';

/** A program on its way to an interface. */
interface Underway {
  readonly done: Promise<void>;
  /** The interface went meanwhile: whose the index was when the kernel came to it is not known. */
  doubtful: boolean;
}

/**
 * Attachments at a time: the kernel makes each wait for a grace period while it holds its one lock of the network, so more
 * gain nothing, and other work waits for the same few threads.
 */
const AT_A_TIME = 2;

export class TcAttachments implements Attachments {
  /** Begins what runs in the background where the interfaces are: in another network namespace than ours, for tests. */
  begin: <T>(start: () => T) => T = (start) => start();
  readonly #directory: string;
  readonly #tcx: boolean;
  readonly #program: (name: ProgramName) => BpfProgram;
  /** Both by `PROGRAM_IFINDEX`. */
  readonly #running = new Map<string, Running>();
  readonly #underway = new Map<string, Underway>();
  readonly #turns = new Turns(AT_A_TIME);
  /** Of those that run, how many are not known to be ours. */
  #others = 0;
  #version = 0;
  #closed = false;

  constructor({ directory, mode = 'auto', program }: TcAttachmentsOptions) {
    this.#directory = directory;
    this.#tcx = mode === 'auto' ? features.hasTcx() : mode === 'tcx';
    this.#program = program;
    const before = this.#tcx ? pinnedLinks(directory) : clsactFilters();
    for (const { program: name, ifindex } of before) this.#note(nameOf(name, ifindex), 'unverified');
  }

  get version(): number {
    return this.#version;
  }

  ensure(ifindex: number, role: LinkRole, verify = false): Promise<void> | undefined {
    const underway: Promise<void>[] = [];
    for (const name of this.#programsFor(ifindex, role, verify)) {
      const done = this.#ensure(name, ifindex, verify);
      if (done !== undefined) underway.push(done);
    }
    return underway.length === 0 ? undefined : allOf(underway);
  }

  /** What has not begun yet is left to whoever comes next. */
  close(): void {
    this.#closed = true;
  }

  async settled(): Promise<void> {
    while (this.#underway.size > 0) await Promise.allSettled([...this.#underway.values()].map(({ done }) => done));
  }

  renew(links: Iterable<LinkOf>): StaleLink[] {
    const all = [...links];
    return PROGRAMS.flatMap((name) => all.flatMap((link) => this.#renew(name, link)));
  }

  older(): boolean {
    return this.#others > 0;
  }

  forget(ifindex: number): void {
    for (const name of PROGRAMS) {
      const key = nameOf(name, ifindex);
      if (this.#running.has(key)) this.#note(key, 'unverified');
      const underway = this.#underway.get(key);
      if (underway !== undefined) underway.doubtful = true;
    }
  }

  *attached(): Generator<{ ifindex: number; role: LinkRole }> {
    for (const key of this.#running.keys()) {
      const { program, ifindex } = parseName(key) as { program: ProgramName; ifindex: number };
      const { role } = HOOKS[program];
      if (!namesOf(role).some((name) => this.#underway.has(nameOf(name, ifindex)))) yield { ifindex, role };
    }
  }

  alive(ifindex: number, role: LinkRole): boolean {
    return namesOf(role).some((name) => {
      if (this.#underway.has(nameOf(name, ifindex))) return true;
      if (!this.#running.has(nameOf(name, ifindex))) return false;
      using link = this.#open(name, ifindex);
      return link !== undefined;
    });
  }

  missing(ifindex: number, role: LinkRole): readonly string[] {
    return this.#programsFor(ifindex, role, true).filter((name) => {
      if (this.#underway.has(nameOf(name, ifindex))) return false;
      const { direction } = HOOKS[name];
      const mode = this.#tcx ? 'tcx' : 'clsact';
      const { id } = this.#program(name).info;
      const attached = unlessGone(() => listTc(ifindex, direction).map((one) => one.mode === mode && one.programId));
      return attached !== undefined && !attached.includes(id);
    });
  }

  remove(ifindex: number, role: LinkRole): void {
    for (const name of namesOf(role)) {
      const key = nameOf(name, ifindex);
      this.#note(key, undefined);
      removePinned(join(this.#directory, key));
      if (!this.#tcx) removeFilter(name, ifindex);
    }
  }

  /** @returns undefined: the program is there; else when it is, or the interface turned out to be gone */
  #ensure(name: ProgramName, ifindex: number, verify: boolean): Promise<void> | undefined {
    const key = nameOf(name, ifindex);
    const underway = this.#underway.get(key);
    if (underway !== undefined) {
      if (!verify && !underway.doubtful) return underway.done;
      // It may be on its way to an interface that had the index before: looked at when it has come to its end.
      const again = () => this.#ensure(name, ifindex, verify);
      return underway.done.then(again, again);
    }
    const running = this.#running.get(key);
    if (!verify && running !== undefined && running !== 'unverified') return undefined;
    const there = unlessGone(() => {
      using link = this.#open(name, ifindex);
      return link !== undefined;
    });
    if (there === false) return this.#attachInBackground(name, ifindex);
    this.#note(key, there === undefined ? undefined : running === 'ours' ? 'ours' : 'older');
    return undefined;
  }

  #attachInBackground(name: ProgramName, ifindex: number): Promise<void> {
    const key = nameOf(name, ifindex);
    const attach = async (): Promise<void> => {
      let now: Running | undefined;
      try {
        await this.#turns.take(async () => {
          if (this.#closed) return;
          const how = this.#howTo(name, ifindex);
          // Somebody may have removed it with all pins.
          if (this.#tcx) mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
          // Wrapped: what is begun there is not waited for there.
          await this.begin(() => ({ done: attachTcInBackground(this.#program(name), how) })).done;
          now = underway.doubtful ? 'unverified' : 'ours';
        });
      } catch (error) {
        if (!isGone(error)) throw error;
      } finally {
        this.#underway.delete(key);
        this.#note(key, now);
      }
    };
    const underway: Underway = { done: Promise.resolve().then(attach), doubtful: false };
    this.#underway.set(key, underway);
    // Who asked may have failed at another program before it could wait for this one.
    underway.done.catch(() => {});
    return underway.done;
  }

  /** @param now undefined: none of ours runs there, or the interface is gone */
  #note(key: string, now: Running | undefined): void {
    const before = this.#running.get(key);
    this.#others += (isOther(now) ? 1 : 0) - (isOther(before) ? 1 : 0);
    if (now === undefined) this.#running.delete(key);
    else this.#running.set(key, now);
    this.#version++;
  }

  #renew(name: ProgramName, { ifindex, role }: LinkOf): StaleLink[] {
    if (HOOKS[name].role !== role || this.#running.get(nameOf(name, ifindex)) !== 'older') return [];
    try {
      const now = unlessGone(() => {
        using link = this.#open(name, ifindex);
        if (link === undefined) this.#attach(name, ifindex);
        else link.update(this.#program(name));
        return 'ours' as const;
      });
      this.#note(nameOf(name, ifindex), now);
      return [];
    } catch (error) {
      return [{ ifindex, role, error }];
    }
  }

  /** Of a device without Ethernet header (WireGuard, IP tunnels) packets begin with their IP header. */
  #programsFor(ifindex: number, role: LinkRole, verify: boolean): readonly ProgramName[] {
    if (role === 'pod') return namesOf(role);
    const known = namesOf(role).filter((name) => {
      const running = this.#running.get(nameOf(name, ifindex));
      const underway = this.#underway.get(nameOf(name, ifindex));
      return (running !== undefined && running !== 'unverified') || underway?.doubtful === false;
    });
    if (known.length > 0 && !verify) return known;
    const mac = netlink.links().find((link) => link.ifindex === ifindex)?.mac;
    return [mac?.length === MAC_LENGTH ? 'to_node' : 'to_node_l3'];
  }

  /** What is attached already. A dead pin is removed: its interface is gone, and another one may have the index now. */
  #open(name: ProgramName, ifindex: number): TcLink | undefined {
    if (!this.#tcx) return openFilter(name, ifindex);
    const path = this.#pathOf(name, ifindex);
    const link = openPinned(path);
    if (link === undefined) return undefined;
    if (link.info.ifindex === ifindex) return link;
    link.close();
    unlinkSync(path);
    return undefined;
  }

  #attach(name: ProgramName, ifindex: number): void {
    attachTc(this.#program(name), this.#howTo(name, ifindex)).close();
  }

  #howTo(name: ProgramName, ifindex: number): AttachTcOptions {
    const { direction } = HOOKS[name];
    if (this.#tcx) return { ifindex, direction, mode: 'tcx', pinPath: this.#pathOf(name, ifindex) };
    return { ifindex, direction, mode: 'clsact', ...CLSACT_PLACE };
  }

  #pathOf(name: ProgramName, ifindex: number): string {
    return join(this.#directory, nameOf(name, ifindex));
  }
}

function isOther(running: Running | undefined): boolean {
  return running === 'older' || running === 'unverified';
}

/** All come to their ends, whatever becomes of one: nothing goes on behind the back of whoever waited. */
async function allOf(underway: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(underway)) if (outcome.status === 'rejected') throw outcome.reason;
}
