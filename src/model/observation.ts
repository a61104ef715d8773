/** What is told of a data plane itself: what it has no room for, how full it is, and where the kernel is not as it should be. */

/** What was not told, counted or remembered for want of room, since the maps were made. */
export interface Losses {
  /** Verdicts that were to be told. */
  readonly event: number;
  /** Verdicts over the limit of what is told in a while. */
  readonly limited: number;
  readonly counter: number;
  readonly flow: number;
  readonly fragment: number;
}

export const NO_LOSSES: Losses = { event: 0, limited: 0, counter: 0, flow: 0, fragment: 0 };

/** Of a BPF map (one of its two copies), or of an ipset. */
export interface MapFill {
  readonly name: string;
  readonly entries: number;
  readonly capacity: number;
}

/** One place where the kernel does not hold what the state in force says. */
export interface Difference {
  /** Map, set, chain, or an interface's program. */
  readonly place: string;
  readonly key: string;
  /** Absent: there should be nothing. */
  readonly wanted?: string;
  /** Absent: there is nothing. */
  readonly found?: string;
}

export interface Verification {
  /** The state that was compared. */
  readonly generation: number;
  /** Entries, rules and programs that were looked at. */
  readonly compared: number;
  readonly differences: readonly Difference[];
}
