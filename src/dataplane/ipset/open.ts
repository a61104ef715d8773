/** The way in: opens the ipset data plane of a node, or removes every trace of it. */
import { CommandError } from '../../child-process.ts';
import type { Address, Family } from '../../model/address.ts';
import { netlink } from '../../native.ts';
import { type Lock, lockNetwork } from '../lock.ts';
import { detectVariant, type VariantChoice } from './detect-variant.ts';
import { removalScript } from './foundation.ts';
import { GUARD_TABLE, ownedAddresses } from './guard-text.ts';
import { IpsetDataplane, type IpsetDataplaneOptions, NFLOG_GROUP } from './ipset-dataplane.ts';
import { Programs, type ProgramsOptions, type Variant } from './programs.ts';
import { tableText } from './script.ts';
import { parseRules, takeSnapshot } from './snapshot.ts';
import { tryOut } from './try-out.ts';

export interface OpenOptions extends IpsetDataplaneOptions, Omit<ProgramsOptions, 'variant'> {
  /** The one that the node's other rules use when absent. */
  readonly variant?: Variant;
}

export interface OpenedIpsetDataplane {
  readonly dataplane: IpsetDataplane;
  readonly choice: VariantChoice;
}

/** A program, or something of the kernel that it needs, is not there. */
export class IpsetMissingError extends Error {
  readonly code = 'IPSET_MISSING';
  constructor(what: string, options?: ErrorOptions) {
    super(`the ipset data plane needs ${what}`, options);
    this.name = 'IpsetMissingError';
  }
}

/**
 * Finds out whether all that it needs works here; nothing is enforced yet.
 * @throws {NetworkInUseError} while another agent has it @throws {IpsetMissingError}
 */
export async function openIpsetDataplane(options: OpenOptions = {}): Promise<OpenedIpsetDataplane> {
  const programs = programsOf(options);
  const lock = programs.nft.within(lockNetwork);
  try {
    return await openLocked(options, programs, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function openLocked(
  options: OpenOptions,
  programs: Record<Variant, Programs>,
  lock: Lock,
): Promise<OpenedIpsetDataplane> {
  const { variant: _, within: _within, paths: _paths, ...rest } = options;
  const { chosen, choice, families } = await lookAround(options, programs);
  const nflogGroup = rest.nflogGroup ?? (rest.onEvent && NFLOG_GROUP);
  await needed('ipset', () => chosen.listSets());
  for (const family of families) {
    await needed(`iptables-${choice.variant} with its matches`, () => tryOut(chosen, family, nflogGroup));
  }
  await needed('nft, and nftables for bridges', () => chosen.listTable('bridge', GUARD_TABLE));
  const inherited = (await isIpsetInForce(options)) ? { inherited: await boundBefore(chosen) } : {};
  return { dataplane: new IpsetDataplane(chosen, { ...inherited, ...rest, families, lock }), choice };
}

export interface Surroundings {
  readonly choice: VariantChoice;
  readonly chosen: Programs;
  readonly families: readonly Family[];
}

/** Which programs would write, and for which families; nothing is written. */
export async function lookAround(options: OpenOptions, programs = programsOf(options)): Promise<Surroundings> {
  const { variant } = options;
  const choice: VariantChoice =
    variant === undefined ? await detectVariant(programs) : { variant, reason: 'it was asked for', both: false };
  const chosen = programs[choice.variant];
  return { choice, chosen, families: options.families ?? (await familiesOf(chosen)) };
}

/** Whether packets come to rules of ours, in either variant: an agent before has left them. */
export async function isIpsetInForce(options: Omit<ProgramsOptions, 'variant'> = {}): Promise<boolean> {
  const programs = programsOf(options);
  for (const variant of ['nft', 'legacy'] as const) {
    if (!programs[variant].isUsed) continue;
    for (const family of [4, 6] as const) {
      const rules = await optional(() => programs[variant].saveRules(family));
      if (rules !== undefined && parseRules(rules).hooks.size > 0) return true;
    }
  }
  return false;
}

/**
 * Removes our rules, sets and tables in both variants: afterwards nothing is enforced. Idempotent.
 * @returns how many @throws {NetworkInUseError} while an agent has them
 */
export async function cleanupIpsetDataplane(options: Omit<ProgramsOptions, 'variant'> = {}): Promise<number> {
  const programs = programsOf(options);
  const lock = programs.nft.within(lockNetwork);
  try {
    return await removeAll(programs);
  } finally {
    lock.release();
  }
}

async function removeAll(programs: Record<Variant, Programs>): Promise<number> {
  let removed = 0;
  const removals: string[] = [];
  for (const variant of ['nft', 'legacy'] as const) {
    if (!programs[variant].isUsed) continue;
    for (const family of [4, 6] as const) {
      const snapshot = await optional(() => takeSnapshot(programs[variant], family));
      if (snapshot === undefined) continue;
      const script = removalScript(family, snapshot);
      await programs[variant].restoreRules(family, tableText(script));
      removed += script.declarations.length;
      removals.push(...script.removals);
    }
  }
  // Once no rule of either variant names them.
  const sets = [...new Set(removals)];
  await programs.nft.restoreSets(sets);
  removed += sets.length;
  for (const family of ['bridge', 'inet'] as const) {
    const listed = await optional(() => programs.nft.listTable(family, GUARD_TABLE));
    if (!listed) continue;
    await programs.nft.nft(`delete table ${family} ${GUARD_TABLE}\n`);
    removed++;
  }
  return removed;
}

/** By ifindex, what the guard of an agent before ties each interface to. */
export async function boundBefore(programs: Programs): Promise<ReadonlyMap<number, readonly Address[]>> {
  const owned = new Map<string, readonly Address[]>();
  for (const family of ['bridge', 'inet'] as const) {
    for (const [name, addresses] of ownedAddresses(await programs.listTable(family, GUARD_TABLE))) {
      owned.set(name, addresses);
    }
  }
  const links = programs.within(() => netlink.links());
  return new Map(links.flatMap(({ name, ifindex }) => (owned.has(name) ? [[ifindex, owned.get(name) ?? []]] : [])));
}

function programsOf(options: Omit<ProgramsOptions, 'variant'>): Record<Variant, Programs> {
  const { within, paths } = options;
  const base = { ...(within && { within }), ...(paths && { paths }) };
  return { nft: new Programs({ ...base, variant: 'nft' }), legacy: new Programs({ ...base, variant: 'legacy' }) };
}

/** A node without IPv6 has no table for it. */
async function familiesOf(programs: Programs): Promise<Family[]> {
  return (await optional(() => programs.saveRules(6))) === undefined ? [4] : [4, 6];
}

async function needed(what: string, ask: () => Promise<unknown>): Promise<void> {
  try {
    await ask();
  } catch (cause) {
    throw new IpsetMissingError(`${what} (${(cause as Error).message})`, { cause });
  }
}

async function optional<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}
