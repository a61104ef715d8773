/**
 * The ring buffer's records -> a listener that a flood of them does not keep busy: after each batch nothing is read for
 * a while, longer the longer the batch took. What the ring has no room for meanwhile the kernel counts as lost.
 */

/** Starts reading, and gives what ends it. Records that wait are delivered at once, some at a time. */
export type Reading = (onRecord: (record: Uint8Array) => void) => () => void;

/** Of the time, that reading takes at most: 1 in so many. */
const SHARE = 25;
/** However few records there were: each reading has its price too. */
const PAUSE_MS = 50;

/** @returns ends the reading; idempotent */
export function readPaced(reading: Reading, onRecord: (record: Uint8Array) => void): () => void {
  let end: (() => void) | undefined;
  let pause: NodeJS.Timeout | undefined;
  let rest: NodeJS.Immediate | undefined;
  let busySince: number | undefined;

  const read = (): void => {
    end = reading((record) => {
      // Not at once: the records behind this one are out of the ring already.
      if (busySince === undefined) {
        busySince = performance.now();
        rest = setImmediate(sleep);
      }
      onRecord(record);
    });
  };
  const sleep = (): void => {
    const took = performance.now() - (busySince as number);
    busySince = undefined;
    end?.();
    end = undefined;
    pause = setTimeout(read, Math.max(PAUSE_MS, took * SHARE)).unref();
  };

  read();
  return () => {
    clearTimeout(pause);
    clearImmediate(rest);
    end?.();
    end = undefined;
  };
}
