/** An API server to the stream of cluster changes: what is there, and then everything that changes it, for as long as one listens. */
import { asyncScheduler, Observable, type SchedulerLike, Subject } from 'rxjs';
import type { ClusterChange, ClusterEvent, Kind, Warning } from '../../model/cluster.ts';
import { ApiConnection } from './api-connection.ts';
import { loadCredentials, type Whereabouts } from './credentials.ts';
import { Faults, type Notice } from './faults.ts';
import { Gathering } from './gathering.ts';
import { Interning } from './interning.ts';
import { KnownObjects } from './known-objects.ts';
import { ListAndWatch, type Timing } from './list-and-watch.ts';
import { resourcesFor } from './resources.ts';

export interface KubernetesOptions extends Whereabouts {
  /** Name of this node: of all nodes only it is followed. */
  readonly node: string;
  /** Told when a fault comes and when it is gone; faults also stand among the warnings. */
  readonly onNotice?: (notice: Notice) => void;
  /** Objects on a page of a list, where the server does not stream lists; default 100. */
  readonly pageSize?: number;
  /** Called with every word of the server about a kind, bookmarks too: how fresh what we know is. */
  readonly onHeard?: (kind: Kind) => void;
  readonly timing?: Partial<Timing>;
  readonly scheduler?: SchedulerLike;
  /** From 0 to below 1. */
  readonly random?: () => number;
}

/** A page is held whole while its objects are taken in, so small pages keep the agent small; they cost no time. */
const PAGE_SIZE = 100;
const TIMING: Timing = {
  first: 1_000,
  most: 30_000,
  credentials: 60_000,
  answer: 30_000,
  listSilence: 30_000,
  watchSilence: 150_000,
  watch: 300_000,
  proven: 5_000,
};

/**
 * `synced` once every kind was listed whole, and from then on. Never completes; a server that is away is a warning, and
 * what was known stays. Fails only by a fault of this program; unsubscribe to end all connections.
 */
export function kubernetesSource(options: KubernetesOptions): Observable<ClusterChange> {
  return new Observable((subscriber) => {
    const stop = new AbortController();
    const scheduler = options.scheduler ?? asyncScheduler;
    const timing = { ...TIMING, ...options.timing };
    const connection = new ApiConnection({
      load: () => loadCredentials(options),
      scheduler,
      credentialsWithin: timing.credentials,
      answerWithin: timing.answer,
    });
    const interning = new Interning();
    const onWarnings = () => gathering.warn();
    const kinds = resourcesFor(options.node).map((resource) => {
      const onEvents = (events: readonly ClusterEvent[]) => {
        gathering.add(events);
        if (resource.kind === 'Node') gathering.warn();
      };
      return new KnownObjects({ resource, interning, onEvents, onWarnings });
    });
    const faults = new Faults(options.onNotice ?? (() => {}), onWarnings);
    const gathering = new Gathering({
      synced: () => kinds.every(({ synced }) => synced),
      warnings: () => [
        ...faults.warnings(),
        ...missingNode(kinds, options.node),
        ...kinds.flatMap((kind) => kind.warnings()),
      ],
      emit: (change) => subscriber.next(change),
    });
    const parts = {
      connection,
      faults,
      timing,
      scheduler,
      random: options.random ?? Math.random,
      pageSize: options.pageSize ?? PAGE_SIZE,
      reached: new Subject<void>(),
      onHeard: options.onHeard ?? (() => {}),
    };
    for (const objects of kinds) {
      new ListAndWatch({ ...parts, objects }, stop.signal).run().catch((error: unknown) => subscriber.error(error));
    }
    return () => {
      stop.abort();
      gathering.close();
      connection.close();
    };
  });
}

/** Most likely the agent goes by another name than the node does, and takes none of its pods for its own. */
function missingNode(kinds: readonly KnownObjects[], node: string): Warning[] {
  const nodes = kinds.find(({ resource }) => resource.kind === 'Node');
  if (!nodes?.synced || nodes.size > 0) return [];
  return [
    { object: `Node ${node}`, field: '', message: 'the API server has no such node: check --node-name (NODE_NAME)' },
  ];
}
