/** How long the agent took, as it happens: for histograms, and for nobody at all when none is listening. */
import { Subject } from 'rxjs';

/** All in milliseconds. */
export type Timing =
  /** From the oldest event that a state takes in to being in force. */
  | { readonly what: 'update'; readonly milliseconds: number; readonly writes: number }
  /** From the link's event to its programs. */
  | { readonly what: 'guard'; readonly milliseconds: number }
  /** From the record of a pod with its address to its enforcement. */
  | { readonly what: 'pod'; readonly milliseconds: number }
  | { readonly what: 'failure'; readonly of: 'apply' | 'guard' | 'source' };

export class Timings extends Subject<Timing> {}
