/** The running agent -> a page for Prometheus. What the kernel counts is read when somebody asks, and asked once a second at most. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Subscription } from 'rxjs';
import type { AgentView } from '../../api/agent-view.ts';
import type { MapFill } from '../../model/observation.ts';
import type { VerdictCount } from '../../model/verdict-event.ts';
import type { Hearing } from '../hearing.ts';
import { verdictSamples } from './verdict-samples.ts';

export interface MetricsFacts {
  readonly version: string;
  /** Why this data plane. */
  readonly reason: string;
  readonly hearing?: Hearing;
  /** Admissions by rule too, not only by policy. */
  readonly detail?: boolean;
}

const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Scrapers that come at once share a page. */
const FRESH_MS = 1000;
const NONE = Promise.resolve([]);

/** Gives its samples, one after the other. */
type Collect<L extends string> = (
  add: (labels: Partial<Record<L, string>>, value: number) => void,
) => void | Promise<void>;

export class Metrics {
  readonly #registry = new Registry();
  readonly #view: AgentView;
  readonly #facts: MetricsFacts;
  readonly #subscription: Subscription;
  /** What the kernel said for the page that is being made. */
  #read: { readonly counts: Promise<readonly VerdictCount[]>; readonly fill: Promise<readonly MapFill[]> } = {
    counts: NONE,
    fill: NONE,
  };
  #page: { readonly at: number; readonly text: Promise<string> } | undefined;

  constructor(view: AgentView, facts: MetricsFacts) {
    this.#view = view;
    this.#facts = facts;
    collectDefaultMetrics({ register: this.#registry });
    this.#defineState();
    this.#defineKernel();
    this.#subscription = this.#defineTimings();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    const now = performance.now();
    if (this.#page === undefined || now - this.#page.at > FRESH_MS) {
      const { observation } = this.#view.dataplane;
      // Several metrics are made of the same rows.
      this.#read = { counts: observation?.counts() ?? NONE, fill: observation?.fill() ?? NONE };
      for (const one of Object.values(this.#read)) one.catch(() => {});
      this.#page = { at: now, text: this.#registry.metrics() };
    }
    return this.#page.text;
  }

  /** Names of a metric's labels; none of one that there is not. */
  labelsOf(name: string): readonly string[] {
    const metric = this.#registry.getSingleMetric(name) as { readonly labelNames?: readonly string[] } | undefined;
    return metric?.labelNames ?? [];
  }

  /** Idempotent. */
  close(): void {
    this.#subscription.unsubscribe();
  }

  #gauge<L extends string>(name: string, help: string, labels: readonly L[], collect: Collect<L>): void {
    const config = this.#config(name, help, labels);
    new Gauge({
      ...config,
      collect() {
        this.reset();
        return collect((of, value) => this.set(of, value));
      },
    });
  }

  /** Counted elsewhere: set anew at each scrape. */
  #counter<L extends string>(name: string, help: string, labels: readonly L[], collect: Collect<L>): void {
    const config = this.#config(name, help, labels);
    new Counter({
      ...config,
      collect() {
        this.reset();
        return collect((of, value) => this.inc(of, value));
      },
    });
  }

  #config<L extends string>(name: string, help: string, labelNames: readonly L[]) {
    return { name: `selvedge_${name}`, help, labelNames: [...labelNames], registers: [this.#registry] };
  }

  #defineState(): void {
    const view = this.#view;
    const { version, reason } = this.#facts;
    this.#gauge('build_info', 'Version of the agent; always 1.', ['version', 'node'], (add) => {
      add({ version, node: view.node }, 1);
    });
    this.#gauge('dataplane_info', 'The data plane in use, and why; always 1.', ['kind', 'reason'], (add) => {
      add({ kind: view.dataplane.kind, reason }, 1);
    });
    this.#gauge('ready', '1 when all that was seen is in force.', [], (add) => {
      add({}, view.faults().length === 0 ? 1 : 0);
    });
    this.#gauge('source_synced', '1 when the source has told all that there is.', [], (add) => {
      add({}, view.change.synced ? 1 : 0);
    });
    this.#gauge(
      'source_silence_seconds',
      'Since the API server has last said anything about a kind.',
      ['kind'],
      (add) => {
        for (const [kind, seconds] of this.#facts.hearing?.silence() ?? []) add({ kind }, seconds);
      },
    );
    this.#gauge('object_warnings', 'Warnings about objects that stand now.', [], (add) => {
      add({}, view.change.warnings.length);
    });
    this.#gauge('interfaces', 'Interfaces of pods by what is enforced on them.', ['state'], (add) => {
      const states: Record<string, number> = { enforced: 0, 'pending-open': 0, 'pending-closed': 0 };
      for (const binding of view.inForce?.state.bindings.values() ?? []) {
        const state = binding.kind === 'endpoint' ? 'enforced' : `pending-${binding.verdict}`;
        states[state] = (states[state] ?? 0) + 1;
      }
      for (const [state, count] of Object.entries(states)) add({ state }, count);
    });
    this.#gauge('unprotected_pods', 'Pods that the state in force does not protect, or not wholly.', [], (add) => {
      add({}, new Set(view.unprotected().flatMap(({ pods }) => pods)).size);
    });
    this.#gauge('state_size', 'What the state in force holds on this node.', ['what'], (add) => {
      const compiled = view.inForce?.state.compiled;
      add({ what: 'pods' }, compiled?.endpoints.size ?? 0);
      add({ what: 'rulesets' }, compiled?.rulesets.size ?? 0);
      add({ what: 'sets' }, compiled?.sets.size ?? 0);
      add({ what: 'addresses' }, compiled?.memberships.size ?? 0);
    });
    this.#gauge('state_generation', 'Number of the state in force.', [], (add) => {
      add({}, Number(view.inForce?.generation ?? 0n));
    });
    this.#gauge('state_timestamp_seconds', 'When the state in force came into force.', [], (add) => {
      add({}, (view.inForce?.at.getTime() ?? 0) / 1000);
    });
  }

  #defineKernel(): void {
    const { dataplane } = this.#view;
    const { detail = false } = this.#facts;
    this.#gauge('map_entries', 'Entries of a map, or of a set, by its name.', ['map'], async (add) => {
      for (const { name, entries } of await this.#read.fill) add({ map: name }, entries);
    });
    this.#gauge('map_capacity', 'Entries that a map, or a set, has room for.', ['map'], async (add) => {
      for (const { name, capacity } of await this.#read.fill) add({ map: name }, capacity);
    });
    this.#counter('lost_total', 'What there was no room for, by what it was.', ['what'], async (add) => {
      const losses = await dataplane.observation?.losses();
      for (const [what, count] of Object.entries(losses ?? {})) add({ what }, count);
    });
    this.#counter(
      'verdicts_total',
      'Drops (packets) and admissions (connections) at pods of this node.',
      ['pod', 'direction', 'verdict', 'reason'],
      async (add) => {
        for (const { labels, count } of verdictSamples(await this.#read.counts, 'pod')) {
          add(labels as never, count);
        }
      },
    );
    const labels = detail
      ? (['policy', 'direction', 'verdict', 'rule'] as const)
      : (['policy', 'direction', 'verdict'] as const);
    this.#counter(
      'policy_verdicts_total',
      'Connections that a policy admitted, packets that were dropped under it.',
      labels,
      async (add) => {
        const counts = await this.#read.counts;
        for (const { labels: of, count } of verdictSamples(counts, detail ? 'rule' : 'policy')) {
          add(of as never, count);
        }
      },
    );
  }

  #defineTimings(): Subscription {
    const registers = [this.#registry];
    const histogram = (name: string, help: string) => {
      return new Histogram({ name: `selvedge_${name}`, help, buckets: SECONDS, registers });
    };
    const histograms = {
      update: histogram('update_seconds', 'From the oldest event that a state takes in to its being in force.'),
      guard: histogram('interface_guard_seconds', "From a pod interface's event to its programs."),
      pod: histogram('pod_enforce_seconds', 'From the record of a pod with its address to its enforcement.'),
    };
    const writes = new Counter({
      name: 'selvedge_dataplane_writes_total',
      help: 'Writes to maps or sets.',
      registers,
    });
    const failures = new Counter({
      name: 'selvedge_failures_total',
      help: 'Steps that failed and are tried again.',
      labelNames: ['step'],
      registers,
    });
    for (const step of ['apply', 'guard', 'source']) failures.inc({ step }, 0);
    return this.#view.timings.subscribe((timing) => {
      if (timing.what === 'failure') failures.inc({ step: timing.of });
      else histograms[timing.what].observe(timing.milliseconds / 1000);
      if (timing.what === 'update') writes.inc(timing.writes);
    });
  }
}
