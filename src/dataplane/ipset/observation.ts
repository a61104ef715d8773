/** Counters, sets and logged packets of our rules -> what the data plane tells of packets and of itself. */
import { type Observable, Subject } from 'rxjs';
import type { Losses, MapFill, Verification } from '../../model/observation.ts';
import type { VerdictCount, VerdictEvent } from '../../model/verdict-event.ts';
import type { Observation } from '../contract.ts';
import type { IpsetDataplane } from './ipset-dataplane.ts';
import { SET_PREFIX } from './names.ts';
import type { Programs } from './programs.ts';

/** For so long a count of what was left out is good. */
const LOSSES_MS = 10_000;

export class IpsetObservation implements Observation {
  readonly #verdicts = new Subject<VerdictEvent>();
  readonly #dataplane: IpsetDataplane;
  readonly #programs: Programs;
  #untold: { readonly at: number; readonly count: Promise<bigint> } | undefined;

  constructor(dataplane: IpsetDataplane, programs: Programs) {
    this.#dataplane = dataplane;
    this.#programs = programs;
  }

  /** Drops alone: what is admitted is counted, not logged. */
  get verdicts(): Observable<VerdictEvent> {
    return this.#verdicts;
  }

  tell(event: VerdictEvent): void {
    this.#verdicts.next(event);
  }

  async counts(): Promise<readonly VerdictCount[]> {
    return (await this.#dataplane.counts()).map(countOf);
  }

  /** Not asked of the kernel each time: that takes as long as all its rules do. */
  async losses(): Promise<Losses> {
    const now = performance.now();
    if (this.#untold === undefined || now - this.#untold.at > LOSSES_MS) {
      this.#untold = { at: now, count: this.#dataplane.untold() };
    }
    return { event: 0, limited: Number(await this.#untold.count), counter: 0, flow: 0, fragment: 0 };
  }

  async fill(): Promise<readonly MapFill[]> {
    const fullest = new Map<string, MapFill>();
    for (const { name: set, entries, capacity } of await this.#programs.fillOfSets()) {
      const name = kindOf(set);
      if (name !== undefined && entries >= (fullest.get(name)?.entries ?? 0))
        fullest.set(name, { name, entries, capacity });
    }
    return [...fullest.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Compares with the state that was applied last; the caller's may be older by now. */
  verify(): Promise<Verification> {
    return this.#dataplane.verify();
  }
}

/** Sets come and go with policies, and each has two sides: what is told of is the fullest of a kind. */
function kindOf(set: string): string | undefined {
  if (!set.startsWith(SET_PREFIX)) return undefined;
  const [, family, kind] = /^[LR]([46])-(.*)$/.exec(set.slice(SET_PREFIX.length)) ?? [];
  if (family === undefined) return undefined;
  return kind === 'ingress' || kind === 'egress' ? `${kind}${family}` : `sets${family}`;
}

function countOf(count: Awaited<ReturnType<IpsetDataplane['counts']>>[number]): VerdictCount {
  const { packets, bytes } = count;
  if (count.verdict === 'allow') {
    const { rule } = count;
    return { ifindex: 0, direction: rule.direction, reason: 'allow-rule', rule, policies: [], packets, bytes };
  }
  const { direction, policies } = count;
  return { ifindex: 0, direction, reason: 'drop-policy', policies, packets, bytes };
}
