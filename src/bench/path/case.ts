/** One figure: packets of a kind at a hook, and where they are sent through. */
import type { SkbContext } from '../../native.ts';
import type { ProgramName, Testbed, Variant } from './testbed.ts';

export type Hook = 'from_pod' | 'to_pod' | 'to_node';
export type Group =
  | 'established'
  | 'new, allowed'
  | 'new, allowed, UDP'
  | 'new, UDP, conntrack asked'
  | 'drop, no event'
  | 'drop, with event'
  | 'drop, event over the limit'
  | 'drop, UDP'
  | 'drop, conntrack asked'
  | 'drop, ever other sources'
  | 'drop by a prefix'
  | 'new by a prefix'
  | 'under no policy';

/** One place that packets are sent through again and again. */
export interface Shot {
  readonly testbed: Testbed;
  readonly variant: Variant;
  readonly program: ProgramName;
  readonly packet: Uint8Array;
  readonly context: SkbContext;
}

export interface Case {
  readonly group: Group;
  readonly name: string;
  readonly family: 4 | 6;
  readonly hook: Hook;
  /** What about the testbed tells it from others: `10,000 policies`. */
  readonly scale: string;
  /** Taken one after the other; their mean is the figure. */
  readonly shots: readonly Shot[];
  /** Whether packets pass. */
  readonly passes: boolean;
  /** Packets of each shot in one go. */
  readonly repeat: number;
  /** What the packets of the next go need; `first` is the number of the first. */
  readonly prepare?: (first: number) => void;
  /** Each packet begins another connection. */
  readonly fresh: boolean;
  /** The first one's number: those of another case through the same tables must be gone when their numbers come. */
  readonly first?: number;
}
