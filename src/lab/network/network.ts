/**
 * Plans -> network namespaces. Each step runs one process of iproute2 in each namespace concerned, side by side; what is
 * in place already is left alone.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { type CommandError, run, runSync } from '../../child-process.ts';
import { netns } from '../../native.ts';
import { inParallel } from '../in-parallel.ts';
import { LabError } from '../lab-error.ts';
import { type Cable, type Entry, type NamespacePlan, sameBase } from './namespace-plan.ts';

/** Processes at a time: enough to keep a few processors busy while others wait for the kernel's network lock. */
const PROCESSES = 16;

/** Milliseconds: how long a cable may take until it carries packets, and between looks at it. */
const CARRIER_PATIENCE = 15_000;
const CARRIER_LOOK = 10;

/** What an application of plans has made and removed; a namespace that was made anew is in both. */
export interface NetworkChange {
  readonly made: readonly NamespacePlan[];
  readonly removed: readonly NamespacePlan[];
}

export class Network {
  #plans: ReadonlyMap<string, NamespacePlan> = new Map();

  /** The namespaces in place. */
  get plans(): Iterable<NamespacePlan> {
    return this.#plans.values();
  }

  /**
   * What `apply` would remove and make. Whoever has sockets in a namespace that goes closes them first: they would keep
   * it alive without a name.
   */
  compare(wanted: readonly NamespacePlan[]): NetworkChange {
    const byName = new Map(wanted.map((plan) => [plan.name, plan]));
    const gone = new Set<string>();
    for (const plan of this.#plans.values()) {
      const next = byName.get(plan.name);
      const parentGone = plan.cable !== undefined && gone.has(plan.cable.parent);
      if (next === undefined || parentGone || !sameBase(plan, next)) gone.add(plan.name);
    }
    return {
      removed: [...this.#plans.values()].filter(({ name }) => gone.has(name)),
      made: wanted.filter(({ name }) => gone.has(name) || !this.#plans.has(name)),
    };
  }

  /**
   * Brings the namespaces to the plans, parents before children in both.
   * @throws {LabError | CommandError} what is there then is not known: close the network
   */
  async apply(wanted: readonly NamespacePlan[]): Promise<NetworkChange> {
    const change = this.compare(wanted);
    const { made, removed } = change;
    const before = this.#plans;
    const fresh = new Set(made.map(({ name }) => name));
    // Kept also when a step fails, so that closing finds all.
    this.#plans = new Map([...before, ...wanted.map((plan) => [plan.name, plan] as const)]);

    await detach(removed);
    removeNamespaces(removed.map(({ name }) => name));
    const stale = new Map(
      [...before.values()].flatMap((plan) => {
        const next = wanted.find(({ name }) => name === plan.name);
        return next && !fresh.has(plan.name) ? [[plan.name, without(plan.entries, next.entries)] as const] : [];
      }),
    );
    await removeEntries(stale);
    await make(made);
    const missing = wanted.map((plan) => {
      const had = fresh.has(plan.name) ? [] : (before.get(plan.name)?.entries ?? []);
      return { plan, setup: fresh.has(plan.name) ? plan.setup : [], entries: without(plan.entries, had) };
    });
    await inParallel(missing, PROCESSES, async ({ plan, setup, entries }) => {
      await batch(plan.name, 'ip', [...setup, ...linesOf(entries, 'ip')]);
      await batch(plan.name, 'bridge', linesOf(entries, 'bridge'));
    });
    await carriers(made);
    this.#plans = new Map(wanted.map((plan) => [plan.name, plan]));
    return change;
  }

  /** Removes all namespaces, blocking. Idempotent. */
  close(): void {
    removeNamespaces([...this.#plans.keys()]);
    this.#plans = new Map();
  }
}

/** Names in /run/netns; none where nobody has made one yet. */
export function listNamespaces(): readonly string[] {
  try {
    return readdirSync('/run/netns');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Removes namespaces; one that somebody else has removed, just now too, is not missed. @throws {CommandError} some are still there */
export function removeNamespaces(names: readonly string[]): void {
  const left = () => {
    const there = new Set(listNamespaces());
    return names.filter((name) => there.has(name)).map((name) => `netns del ${name}`);
  };
  const lines = left();
  if (lines.length === 0) return;
  try {
    runSync('ip', ['-force', '-batch', '-'], { input: lines.join('\n') });
  } catch (error) {
    if (left().length > 0) throw error;
  }
}

/** Interfaces go with their namespace, but later: a name on a bridge that stays must be free at once. */
async function detach(removed: readonly NamespacePlan[]): Promise<void> {
  const gone = new Set(removed.map(({ name }) => name));
  const lines = new Map<string, string[]>();
  for (const { cable } of removed) {
    if (cable && !gone.has(cable.parent)) lines.set(cable.parent, [...(lines.get(cable.parent) ?? []), cable.detach]);
  }
  await inParallel(lines, PROCESSES, ([parent, commands]) => batch(parent, 'ip', commands));
}

/** A route may have gone with its device or next hop already, so failures say nothing. */
async function removeEntries(stale: ReadonlyMap<string, readonly Entry[]>): Promise<void> {
  await inParallel(stale, PROCESSES, async ([name, entries]) => {
    for (const program of ['ip', 'bridge'] as const) {
      const lines = entries.filter((entry) => entry.program === program).map(({ remove }) => remove);
      await batch(name, program, lines, ['-force']).catch(() => {});
    }
  });
}

/** Namespaces, then interfaces from the wire outward, since each level's cables are made in the one before. */
async function make(plans: readonly NamespacePlan[]): Promise<void> {
  const lines = plans.map(({ name }) => `netns add ${name}`);
  if (lines.length > 0) await run('ip', ['-batch', '-'], { input: lines.join('\n') });
  for (const { name, sysctls } of plans) netns.run(name, () => writeSysctls(sysctls));
  for (const level of ['wire', 'node'] as const) {
    const parents = new Map<string, string[]>();
    for (const { name, place, links } of plans) if (place.kind === level) parents.set(name, [...links]);
    for (const { cable, place } of plans) {
      if (cable === undefined || (place.kind === 'pod') !== (level === 'node')) continue;
      parents.set(cable.parent, [...(parents.get(cable.parent) ?? []), ...cable.attach]);
    }
    await inParallel(parents, PROCESSES, ([name, commands]) => batch(name, 'ip', commands));
  }
}

/**
 * Waits until cables carry packets: an interface whose other end has just come up, and the bridge that it is the first
 * port of, drop everything until a worker of the kernel has seen to them, which takes long on a busy machine.
 */
async function carriers(made: readonly NamespacePlan[]): Promise<void> {
  const waited = new Map<string, Cable[]>();
  for (const { cable } of made) {
    if (cable !== undefined) waited.set(cable.parent, [...(waited.get(cable.parent) ?? []), cable]);
  }
  const deadline = performance.now() + CARRIER_PATIENCE;
  await inParallel(waited, PROCESSES, async ([namespace, cables]) => {
    for (let idle = await idleLinks(namespace, cables); idle.size > 0; idle = await idleLinks(namespace, cables)) {
      if (performance.now() > deadline) throw new LabError(`${namespace}: no carrier on ${[...idle].join(', ')}`);
      await setTimeout(CARRIER_LOOK);
    }
  });
}

/** What of `ip -json link` is looked at. */
interface LinkState {
  readonly ifname: string;
  readonly operstate: string;
  readonly flags: readonly string[];
  readonly qdisc: string;
}

async function idleLinks(namespace: string, cables: readonly Cable[]): Promise<ReadonlySet<string>> {
  const list = () => ({ output: run('ip', ['-json', 'link', 'show']) });
  const links = JSON.parse(await netns.run(namespace, list).output) as LinkState[];
  const states = new Map(links.map((link) => [link.ifname, link]));
  const idle = new Set<string>();
  for (const { port, bridge } of cables) {
    // "UP" is set where bridges are told too. Of a bridge itself it may be a second late: there its queue is what counts.
    if (states.get(port)?.operstate !== 'UP') idle.add(port);
    const { flags = [], qdisc = 'noop' } = states.get(bridge) ?? {};
    if (!flags.includes('LOWER_UP') || qdisc === 'noop') idle.add(bridge);
  }
  return idle;
}

/** Below /proc/sys/net the kernel shows each thread the settings of its own network namespace. */
function writeSysctls(sysctls: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(sysctls)) writeFileSync(`/proc/sys/net/${name}`, value);
}

async function batch(namespace: string, program: 'ip' | 'bridge', lines: readonly string[], flags: string[] = []) {
  if (lines.length === 0) return;
  // The child inherits the thread's namespace. `ip -n` would copy the mount namespace as well, which takes longer than the rest.
  const started = () => ({ output: run(program, [...flags, '-batch', '-'], { input: lines.join('\n') }) });
  await netns.run(namespace, started).output.catch((error: CommandError) => {
    const line = lines[Number(/Command failed -:(\d+)/.exec(error.stderr)?.[1]) - 1];
    throw line === undefined
      ? error
      : new LabError(`${namespace}: ${program} ${line}: ${error.stderr.trim()}`, { cause: error });
  });
}

function without(entries: readonly Entry[], others: readonly Entry[]): readonly Entry[] {
  const known = new Set(others.map(({ program, add }) => `${program} ${add}`));
  return entries.filter(({ program, add }) => !known.has(`${program} ${add}`));
}

function linesOf(entries: readonly Entry[], program: Entry['program']): readonly string[] {
  return entries.filter((entry) => entry.program === program).map(({ add }) => add);
}
