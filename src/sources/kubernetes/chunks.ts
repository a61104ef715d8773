/** A stream of bytes to its chunks, and to its lines, with a limit on silence. */
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { SchedulerAction, SchedulerLike, Subscription } from 'rxjs';
import { ApiError, networkError } from './api-error.ts';

/** The API refuses objects of more than 3 MiB or so. */
const LONGEST_LINE = 32 * 2 ** 20;
const NEWLINE = 0x0a;

/** One timer for all chunks: it looks when the last one came, and sleeps again for what is left. */
class Watchdog {
  readonly #scheduler: SchedulerLike;
  readonly #subscription: Subscription;
  #heard: number;

  constructor(stream: Readable, silence: () => number, scheduler: SchedulerLike) {
    this.#scheduler = scheduler;
    this.#heard = scheduler.now();
    const leftNow = () => this.#heard + silence() - scheduler.now();
    this.#subscription = scheduler.schedule(function (this: SchedulerAction<void>) {
      const left = leftNow();
      if (left > 0) this.schedule(undefined, left);
      else stream.destroy(new ApiError('SILENT', `nothing came for ${silence() / 1000} s`));
    }, silence());
  }

  heard(): void {
    this.#heard = this.#scheduler.now();
  }

  unsubscribe(): void {
    this.#subscription.unsubscribe();
  }
}

/**
 * @param silence the longest time without a chunk, in milliseconds; asked anew when it is over
 * @throws {ApiError} code CUT: the stream broke; SILENT: it fell silent
 */
export async function* chunksOf(
  stream: Readable,
  silence: () => number,
  scheduler: SchedulerLike,
): AsyncGenerator<Buffer> {
  const watchdog = new Watchdog(stream, silence, scheduler);
  try {
    for await (const chunk of stream) {
      watchdog.heard();
      yield chunk as Buffer;
    }
  } catch (error) {
    throw networkError(error, 'body');
  } finally {
    watchdog.unsubscribe();
    stream.destroy();
  }
}

/**
 * Hands over the lines of a stream as they come, without their ends, in the turn in which their bytes come: there may be
 * hundreds in a second. What follows the last end is no line: it was cut. Resolves with the stream's end.
 * @param silence as with `chunksOf`
 * @throws what `onLine` throws; {ApiError} as `chunksOf`
 */
export async function eachLine(
  stream: Readable,
  { silence, scheduler }: { readonly silence: () => number; readonly scheduler: SchedulerLike },
  onLine: (line: Buffer) => void,
): Promise<void> {
  const lines = new Lines(onLine);
  const watchdog = new Watchdog(stream, silence, scheduler);
  let failure: { readonly error: unknown } | undefined;
  stream.on('data', (chunk: Buffer) => {
    watchdog.heard();
    if (failure !== undefined) return;
    try {
      lines.take(chunk);
    } catch (error) {
      failure = { error };
      stream.destroy();
    }
  });
  try {
    await finished(stream, { writable: false });
  } catch (error) {
    if (failure === undefined) throw networkError(error, 'body');
  } finally {
    watchdog.unsubscribe();
    stream.destroy();
  }
  if (failure !== undefined) throw failure.error;
}

class Lines {
  readonly #onLine: (line: Buffer) => void;
  #begun: Buffer[] = [];
  #length = 0;

  constructor(onLine: (line: Buffer) => void) {
    this.#onLine = onLine;
  }

  take(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      const rest = chunk.subarray(from, end);
      const line = this.#begun.length === 0 ? rest : Buffer.concat([...this.#begun, rest]);
      this.#begun = [];
      this.#length = 0;
      from = end + 1;
      this.#onLine(line);
    }
    if (from === chunk.length) return;
    this.#begun.push(chunk.subarray(from));
    this.#length += chunk.length - from;
    if (this.#length > LONGEST_LINE) throw new ApiError('MALFORMED', `a line of more than ${LONGEST_LINE} bytes`);
  }
}
