/**
 * What the checks ask of a node: files below a root, and the kernel's links, rules, sets and programs, each read once and
 * nothing written.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandError, run } from '../child-process.ts';
import { Programs, type Variant } from '../dataplane/ipset/programs.ts';
import { BpfProgram, listTc, netlink } from '../native.ts';
import { missingCapabilities } from '../privilege.ts';
import { CannotKnowError } from './check.ts';
import { type Trial, tryDataplanes } from './trial.ts';

export interface NodeFactsOptions {
  /** Where /etc, /run, /proc and so on are looked for; `/` when absent. What is asked of the kernel is this process's own. */
  readonly root?: string;
  readonly socket: string;
  readonly pinDir: string;
}

/** A program on a hook of an interface that is not one of ours. */
export interface ForeignProgram {
  readonly link: string;
  readonly direction: 'ingress' | 'egress';
  readonly name: string;
}

const OURS: ReadonlySet<string> = new Set(['from_pod', 'to_pod', 'to_node', 'to_node_l3']);

export class NodeFacts {
  readonly socket: string;
  readonly pinDir: string;
  readonly #root: string;
  readonly #asked = new Map<string, unknown>();

  constructor({ root = '/', socket, pinDir }: NodeFactsOptions) {
    this.#root = root;
    this.socket = socket;
    this.pinDir = pinDir;
  }

  path(path: string): string {
    return join(this.#root, path);
  }

  /** Undefined where there is none. @throws {CannotKnowError} it is there, and not for us */
  read(path: string): string | undefined {
    return this.#optional(path, () => readFileSync(this.path(path), 'utf8'));
  }

  /** Names in a folder, sorted; none where there is no such folder. @throws {CannotKnowError} */
  list(path: string): readonly string[] {
    return this.#optional(path, () => readdirSync(this.path(path)).sort()) ?? [];
  }

  exists(path: string): boolean {
    return this.#optional(path, () => statSync(this.path(path))) !== undefined;
  }

  /** A number in a file of /proc or /sys. */
  number(path: string): number | undefined {
    const text = this.read(path)?.trim();
    return text === undefined || text === '' ? undefined : Number(text);
  }

  /** @throws {CannotKnowError} */
  needCapability(name: 'CAP_NET_ADMIN' | 'CAP_SYS_ADMIN' | 'CAP_BPF', why: string): void {
    if (missingCapabilities([name]).length > 0)
      throw new CannotKnowError(`${why} takes ${name}, which this process lacks`);
  }

  links(): readonly netlink.Link[] {
    return this.#once('links', () => netlink.links());
  }

  addresses(): readonly netlink.Address[] {
    return this.#once('addresses', () => netlink.addresses());
  }

  /** All rules of a variant, both families, as iptables-save prints them; empty where it is not in use. */
  rules(variant: Variant): Promise<string> {
    return this.#once(`rules ${variant}`, async () => {
      this.needCapability('CAP_NET_ADMIN', 'reading the rules');
      const programs = new Programs({ variant });
      if (!programs.isUsed) return '';
      const texts = [4, 6].map((family) => unlessMissing(() => programs.saveAllRules(family as 4 | 6)));
      return (await Promise.all(texts)).join('');
    });
  }

  /** Names of all chains of iptables, of either variant. */
  async chains(): Promise<readonly string[]> {
    const texts = await Promise.all([this.rules('nft'), this.rules('legacy')]);
    return [...new Set(texts.join('').match(/^:\S+/gm) ?? [])].map((name) => name.slice(1));
  }

  /** `inet kube-network-policies`, of nftables. */
  tables(): Promise<readonly string[]> {
    return this.#once('tables', async () => {
      this.needCapability('CAP_NET_ADMIN', 'listing the tables of nftables');
      const text = await unlessMissing(() => run('nft', ['list', 'tables']));
      return [...text.matchAll(/^table (\S+ \S+)$/gm)].map(([, name = '']) => name);
    });
  }

  sets(): Promise<readonly string[]> {
    return this.#once('sets', async () => {
      this.needCapability('CAP_NET_ADMIN', 'listing ipsets');
      const text = await unlessMissing(() => run('ipset', ['list', '-n']));
      return text.split('\n').filter((name) => name !== '');
    });
  }

  /** Others' programs on tc and TCX hooks. */
  foreignPrograms(): readonly ForeignProgram[] {
    return this.#once('programs', () => {
      this.needCapability('CAP_BPF', 'looking at the programs on interfaces');
      this.needCapability('CAP_SYS_ADMIN', 'asking programs for their names');
      return this.links().flatMap((link) => foreignOn(link));
    });
  }

  /** What each data plane says when it is tried in a network namespace of its own. @throws {CannotKnowError} */
  trial(): Promise<Trial> {
    return this.#once('trial', () => {
      this.needCapability('CAP_SYS_ADMIN', 'trying it in a network namespace of its own');
      return tryDataplanes();
    });
  }

  #once<T>(name: string, ask: () => T): T {
    if (!this.#asked.has(name)) this.#asked.set(name, ask());
    return this.#asked.get(name) as T;
  }

  #optional<T>(path: string, ask: () => T): T | undefined {
    try {
      return ask();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      throw new CannotKnowError(`${path} cannot be read (${code})`, { cause: error });
    }
  }
}

function foreignOn({ ifindex, name: link }: netlink.Link): ForeignProgram[] {
  return (['ingress', 'egress'] as const).flatMap((direction) => {
    return programsOn(ifindex, direction)
      .filter((name) => !OURS.has(name))
      .map((name) => ({ link, direction, name }));
  });
}

/** The kernel keeps 15 characters of a name. An interface or a program may go while we ask. */
function programsOn(ifindex: number, direction: 'ingress' | 'egress'): string[] {
  try {
    return listTc(ifindex, direction).flatMap(({ programId }) => {
      using program = BpfProgram.fromId(programId);
      return [program.info.name];
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENODEV' || code === 'ENOENT') return [];
    throw error;
  }
}

/** A program that is not installed lists nothing; there may still be what another one has made. */
async function unlessMissing(ask: () => Promise<string>): Promise<string> {
  try {
    return await ask();
  } catch (error) {
    const { exitCode } = error as CommandError;
    // Could not be started, or the kernel has no such tables.
    if (exitCode === undefined || exitCode === 3) return '';
    throw new CannotKnowError((error as Error).message, { cause: error });
  }
}
