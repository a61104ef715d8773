/** What `selvedge bench` measures and what comes of it: the words that engines, loads, rounds and the report share. */

/** Who decides about packets; each plays the same cluster in a lab of its own, side by side with the others. */
export const ENGINES = [
  /** No program and no rule: what everything is compared with. */
  'none',
  /** A tc program that passes everything, wherever Selvedge would attach one. */
  'empty',
  'bpf',
  'ipset-nft',
  'ipset-legacy',
  /** One rule for each policy and port in FORWARD, no sets, as naive engines write them. */
  'iptables-nft',
  'iptables-legacy',
] as const;
export type EngineName = (typeof ENGINES)[number];

/** Where the two pods are: on one node, or on two over VXLAN. */
export type Topology = 'one-node' | 'two-nodes';

/** What the policies say about the traffic: `allowed` by the last of them, `denied` by all, or the pods are `unselected`. */
export type Traffic = 'allowed' | 'denied' | 'unselected';

/** Each is one number of a cell; several come of one run of a load. Lower is better unless the name ends in `rate`. */
export const MEASURES = {
  'latency-p50': { unit: 'µs', text: 'one byte there and back over an open connection, median' },
  'latency-p99': { unit: 'µs', text: 'one byte there and back over an open connection, 99th percentile' },
  'busy-latency-p50': {
    unit: 'µs',
    text: 'the same median while 200 changes per second are applied that do not concern the pods',
  },
  'connect-p50': { unit: 'µs', text: 'connect, request, answer, close: median' },
  'connect-p99': { unit: 'µs', text: 'connect, request, answer, close: 99th percentile' },
  'connect-rate': { unit: '1/s', text: 'connections made and closed in a second, one after the other' },
  'stream-rate': { unit: 'Gbit/s', text: 'throughput of one TCP stream' },
  'streams-rate': { unit: 'Gbit/s', text: 'throughput of eight TCP streams' },
  'udp-rate': { unit: '1/s', text: 'UDP packets of 64 bytes that arrive in a second' },
  'packet-cpu': { unit: 'ns', text: 'CPU time of the whole machine for a UDP packet' },
  'connection-cpu': { unit: 'µs', text: 'CPU time of the whole machine for a connection made and closed' },
  'drop-cpu': { unit: 'ns', text: 'CPU time of the whole machine for a packet of a flood that is dropped' },
  'drop-rate': { unit: '1/s', text: 'packets of a flood that are sent and dropped in a second' },
  'load-time': { unit: 'ms', text: 'all policies, from the manifest that holds them until all are in force' },
  'policy-time': { unit: 'ms', text: 'a policy, from its event to the first packet that feels it, median' },
  'policy-time-p99': {
    unit: 'ms',
    text: 'a policy, from its event to the first packet that feels it, 99th percentile',
  },
  'pod-time': { unit: 'ms', text: "a pod's label, from its event to the first packet that feels it, median" },
  'kernel-memory': { unit: 'MB', text: 'memory of the kernel for a node: maps, or sets and rules' },
  'agent-memory': { unit: 'MB', text: 'memory of a node that its agent holds' },
} as const satisfies Record<string, { unit: string; text: string }>;
export type Measure = keyof typeof MEASURES;

/** One place of the grid, in which one load runs for each round. */
export interface Cell {
  readonly engine: EngineName;
  readonly topology: Topology;
  readonly traffic: Traffic;
  readonly policies: number;
}

/** What one run of a load in one round has shown. */
export type Sample = Partial<Record<Measure, number>>;

/** A measure of a cell over all turns of all rounds. */
export interface Figure extends Cell {
  readonly measure: Measure;
  /** One for each turn, in the measure's unit. */
  readonly samples: readonly number[];
  readonly median: number;
  /** Quartiles of the samples: the spread. */
  readonly low: number;
  readonly high: number;
  /** To the engine `none` in the same rounds; none for what `none` has no figure of. */
  readonly ratio?: Ratio;
}

/** The median of the turns' own ratios, with its quartiles. */
export interface Ratio {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** Whether it tells anything: 1 is not between the quartiles. */
  readonly differs: boolean;
}

/** A figure that the project wants to reach. */
export interface Goal {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  /** Whether `value` should be at least the limit, and not at most. */
  readonly atLeast: boolean;
  readonly reached: boolean;
  /** Which cell it was. */
  readonly by: string;
}

export interface BenchReport {
  readonly version: 1;
  readonly machine: {
    readonly processor: string;
    readonly cores: number;
    /** Bytes. */
    readonly memory: number;
    readonly kernel: string;
    /** Of the last minute, when it began and when it ended. */
    readonly load: readonly [number, number];
  };
  /** ISO 8601. */
  readonly started: string;
  readonly seconds: number;
  readonly rounds: number;
  readonly quick: boolean;
  readonly figures: readonly Figure[];
  readonly goals: readonly Goal[];
  /** What could not be measured here, and why. */
  readonly left: readonly string[];
}

/** Two ends of a load: network namespaces by name, with the addresses that packets bear. */
export interface Ends {
  readonly client: { readonly namespace: string; readonly address: string };
  readonly server: { readonly namespace: string; readonly address: string };
}

/** Runs of native generators; each ends by itself, bounded in time. @throws {LoadError} a run that tells nothing */
export interface Loads extends AsyncDisposable {
  /** `latency-*`: requests over one connection, for these seconds. */
  latency(ends: Ends, seconds: number, signal: AbortSignal): Promise<Sample>;
  /** `connect-*`, `connection-cpu`. */
  connect(ends: Ends, seconds: number, signal: AbortSignal): Promise<Sample>;
  /** `stream-rate` or `streams-rate`, by iperf3. */
  throughput(ends: Ends, streams: 1 | 8, seconds: number, signal: AbortSignal): Promise<Sample>;
  /** `udp-rate`, `packet-cpu`. */
  udp(ends: Ends, seconds: number, signal: AbortSignal): Promise<Sample>;
  /** `drop-*`: packets that nobody answers, of ever other source ports; fails if any arrives. */
  flood(ends: Ends, seconds: number, signal: AbortSignal): Promise<Sample>;
  /**
   * Tries one datagram after the other until one arrives (`open`), or no more do (`closed`).
   * @returns milliseconds of CLOCK_MONOTONIC at which the first one that felt it was sent
   */
  until(ends: Ends, wanted: 'open' | 'closed', signal: AbortSignal): Promise<number>;
}
