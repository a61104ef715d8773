/** Counters, sets and logged packets of our rules -> what the data plane tells of packets and of itself. */
import { type Observable, Subject } from 'rxjs';
import type { Losses, MapFill, Verification } from '../../model/observation.ts';
import type { VerdictCount, VerdictEvent } from '../../model/verdict-event.ts';
import type { Observation } from '../contract.ts';
import type { RuleCount } from './counters.ts';
import type { IpsetDataplane } from './ipset-dataplane.ts';
import { SET_PREFIX } from './names.ts';
import type { Programs } from './programs.ts';

export class IpsetObservation implements Observation {
  readonly #verdicts = new Subject<VerdictEvent>();
  readonly #dataplane: IpsetDataplane;
  readonly #programs: Programs;

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

  /** The kernel counts none of what the log has no room for. */
  async losses(): Promise<Losses> {
    return { event: 0, counter: 0, flow: 0, fragment: 0 };
  }

  async fill(): Promise<readonly MapFill[]> {
    return (await this.#programs.fillOfSets()).filter(({ name }) => name.startsWith(SET_PREFIX));
  }

  /** Compares with the state that was applied last; the caller's may be older by now. */
  verify(): Promise<Verification> {
    return this.#dataplane.verify();
  }
}

function countOf(count: RuleCount): VerdictCount {
  const { packets, bytes } = count;
  if (count.verdict === 'allow') {
    const { rule } = count;
    return { ifindex: 0, direction: rule.direction, reason: 'allow-rule', rule, policies: [], packets, bytes };
  }
  const { direction, policies } = count;
  return { ifindex: 0, direction, reason: 'drop-policy', policies, packets, bytes };
}
