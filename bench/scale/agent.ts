/** The process of the agent under test: the real pipeline, with a note of what arrived and when it was in force. */
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { tap } from 'rxjs';
import { Agent } from '../../src/agent.ts';
import { type OpenedBpfDataplane, openBpfDataplane } from '../../src/dataplane/bpf/open.ts';
import { linksDirectory } from '../../src/dataplane/bpf/pins.ts';
import { pinnedLinks } from '../../src/dataplane/bpf/tc-places.ts';
import type { Dataplane } from '../../src/dataplane/contract.ts';
import { linkSource } from '../../src/links/link-source.ts';
import { openLog } from '../../src/log.ts';
import type { ClusterChange } from '../../src/model/cluster.ts';
import { keyOf } from '../../src/model/cluster.ts';
import { kubernetesSource } from '../../src/sources/kubernetes/kubernetes-source.ts';
import { answer, now } from './child.ts';
import { startProfile, writeProfile } from './profile.ts';

/** A state that was put in force. Times are those of the shared clock, in milliseconds. */
export interface State {
  /** What it is the first to have, with the time of its arrival. */
  readonly arrived: readonly (readonly [key: string, at: number])[];
  readonly inForce: number;
  readonly writes: number;
  /** Endpoints that are enforced. */
  readonly bound: number;
}

export interface Use {
  /** Bytes of this process in memory, now and at most. */
  readonly resident: number;
  readonly peak: number;
  readonly heap: number;
  /** Milliseconds of all threads, in user space and in the kernel. */
  readonly cpu: number;
}

const LOOK_MS = 10;
const OBJECT = fileURLToPath(new URL('../../build/policy.bpf.o', import.meta.url));

let arrived: [key: string, at: number][] = [];
let states: State[] = [];
let synced: number | undefined;
let dataplane: OpenedBpfDataplane;
/** Where their links are pinned. */
let links: string;
const waiting = new Set<(state: State) => void>();
const failed = Promise.withResolvers<never>();

function note({ events, synced: isSynced }: ClusterChange): void {
  const at = now();
  if (isSynced) synced ??= at;
  // Before that there are a hundred thousand, and nobody asks for one.
  if (synced === undefined) return;
  for (const event of events) {
    const kind = event.type === 'upsert' ? event.object.kind : event.kind;
    const key = event.type === 'upsert' ? keyOf(event.object) : event.key;
    arrived.push([`${kind} ${key}`, at]);
  }
}

/** What has arrived when the agent hands a state over is in that state. */
function noting(inner: OpenedBpfDataplane): Dataplane {
  const apply: Dataplane['apply'] = async (wanted, hint) => {
    const taken = arrived;
    arrived = [];
    const applied = await inner.apply(wanted, hint).catch((error: unknown) => {
      failed.reject(error);
      throw error;
    });
    const bound = [...wanted.bindings.values()].filter(({ kind }) => kind === 'endpoint').length;
    const state = { arrived: taken, inForce: now(), writes: applied.writes, bound };
    states.push(state);
    for (const look of waiting) look(state);
    return applied;
  };
  return new Proxy<Dataplane>(inner, {
    get: (_, name) => {
      if (name === 'apply') return apply;
      const member: unknown = Reflect.get(inner, name, inner);
      return typeof member === 'function' ? member.bind(inner) : member;
    },
  });
}

/** Resolves with the first state from now on that fits. */
function nextState(fits: (state: State) => boolean): Promise<State> {
  const { promise, resolve } = Promise.withResolvers<State>();
  const look = (state: State) => {
    if (!fits(state)) return;
    waiting.delete(look);
    resolve(state);
  };
  waiting.add(look);
  return promise;
}

const answers = {
  /** Resolves when so many endpoints are enforced. */
  start: async ({ node, directory, endpoints, profile }: Start) => {
    const all = nextState(({ bound }) => bound >= endpoints);
    dataplane = await openBpfDataplane({ path: OBJECT, directory });
    links = linksDirectory(directory);
    const loaded = now();
    if (profile) await startProfile();
    new Agent({
      node,
      source: kubernetesSource({ node }).pipe(tap(note)),
      links: linkSource(),
      dataplane: noting(dataplane),
      pending: 'auto',
      log: openLog('info'),
    }).start();
    const { inForce, writes } = await Promise.race([all, failed.promise]);
    return { loaded, synced: synced as number, inForce, writes };
  },
  /** Resolves once the key's next change is in force. */
  inForce: (key: string) => {
    return Promise.race([nextState((state) => state.arrived.some(([one]) => one === key)), failed.promise]);
  },
  /** Resolves once both copies are equal: the next change waits for nothing. */
  settled: () => dataplane.settled(),
  /** Resolves once so many pods' interfaces have both of their programs. */
  guarded: async (interfaces: number) => {
    const ofPods = () => [...pinnedLinks(links)].filter(({ program }) => !program.startsWith('to_node')).length;
    while (ofPods() < 2 * interfaces) await setTimeout(LOOK_MS);
    await dataplane.settled();
  },
  use: (): Use => {
    const status = readFileSync('/proc/self/status', 'utf8');
    const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
    const { user, system } = process.cpuUsage();
    return {
      resident: kilobytes('VmRSS') * 1024,
      peak: kilobytes('VmHWM') * 1024,
      heap: process.memoryUsage().heapUsed,
      cpu: (user + system) / 1000,
    };
  },
  profile: (path: string) => writeProfile(path),
  /** The states since the last call. */
  states: (): State[] => {
    const taken = states;
    states = [];
    return taken;
  },
};

interface Start {
  readonly node: string;
  /** In a bpffs. */
  readonly directory: string;
  readonly endpoints: number;
  readonly profile: boolean;
}

export type AgentAnswers = typeof answers;

answer(answers);
