/** The maps and the ring buffer of the packet path -> what the data plane tells of packets and of itself. */
import { Observable, share } from 'rxjs';
import type { Losses, MapFill, Verification } from '../../model/observation.ts';
import type { VerdictCount, VerdictEvent } from '../../model/verdict-event.ts';
import type { DesiredState, Observation } from '../contract.ts';
import type { BpfDataplane } from './bpf-dataplane.ts';
import type { NativeKernel } from './kernel-native.ts';
import { readPaced } from './paced-reader.ts';
import type { Table } from './table.ts';
import { verifyMaps } from './verify.ts';

type AnyTable = Table<unknown, unknown>;

/** What exists once; the others stand in `tables`. Filled by packets, not by states. */
const SHARED_MAPS = ['counters', 'fragments'] as const;

export class BpfObservation implements Observation {
  readonly verdicts: Observable<VerdictEvent>;
  readonly #kernel: NativeKernel;
  readonly #dataplane: BpfDataplane;

  constructor(kernel: NativeKernel, dataplane: BpfDataplane) {
    this.#kernel = kernel;
    this.#dataplane = dataplane;
    this.verdicts = new Observable<VerdictEvent>((subscriber) => {
      const tell = (record: Uint8Array) => subscriber.next(dataplane.events.event(record));
      return readPaced((onRecord) => kernel.readEvents(onRecord), tell);
    }).pipe(share());
  }

  async counts(): Promise<readonly VerdictCount[]> {
    const { events, generation } = this.#dataplane;
    return this.#kernel.counters().map(([key, values]) => events.count(key, values, generation));
  }

  async losses(): Promise<Losses> {
    const { event, limited, counter, flow, fragment } = this.#dataplane.events.losses(this.#kernel.losses());
    return {
      event: Number(event),
      limited: Number(limited),
      counter: Number(counter),
      flow: Number(flow),
      fragment: Number(fragment),
    };
  }

  async fill(): Promise<readonly MapFill[]> {
    const content = await this.#dataplane.content();
    const tables = Object.values(content?.tables ?? {}) as readonly AnyTable[];
    const copied = tables.map(({ codec: { name }, wanted }) => {
      const entries = name === 'ports' ? (content?.portSets.end ?? 0) : wanted.size;
      return { name, entries, capacity: this.#kernel.capacity(name) };
    });
    const shared = SHARED_MAPS.map((name) => {
      const map = this.#kernel.object.map(name);
      return { name, entries: map.keys().length, capacity: map.info.maxEntries };
    });
    return [...copied, ...shared];
  }

  async verify(state: DesiredState): Promise<Verification> {
    const known = await this.#dataplane.content();
    const { ruleNumbers, state: latest } = this.#dataplane;
    const settings = (of: DesiredState) => this.#dataplane.settings(of);
    // Another state may have come while this waited for its turn.
    return verifyMaps({ kernel: this.#kernel, ruleNumbers, settings, known }, latest ?? state);
  }
}
