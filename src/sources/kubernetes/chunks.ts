/** A stream of bytes to its chunks, and to its lines, with a limit on silence. */
import type { Readable } from 'node:stream';
import type { SchedulerAction, SchedulerLike } from 'rxjs';
import { ApiError, networkError } from './api-error.ts';

/** The API refuses objects of more than 3 MiB or so. */
const LONGEST_LINE = 32 * 2 ** 20;
const NEWLINE = 0x0a;

/**
 * @param silence the longest time without a chunk, in milliseconds; asked anew when it is over
 * @throws {ApiError} code CUT: the stream broke; SILENT: it fell silent
 */
export async function* chunksOf(
  stream: Readable,
  silence: () => number,
  scheduler: SchedulerLike,
): AsyncGenerator<Buffer> {
  let heard = scheduler.now();
  // One timer for all chunks: it looks when the last one came, and sleeps again for what is left.
  const watchdog = scheduler.schedule(function (this: SchedulerAction<void>) {
    const left = heard + silence() - scheduler.now();
    if (left > 0) this.schedule(undefined, left);
    else stream.destroy(new ApiError('SILENT', `nothing came for ${silence() / 1000} s`));
  }, silence());
  try {
    for await (const chunk of stream) {
      heard = scheduler.now();
      yield chunk as Buffer;
    }
  } catch (error) {
    throw networkError(error, 'body');
  } finally {
    watchdog.unsubscribe();
    stream.destroy();
  }
}

/** The lines of each chunk, without their ends. What follows the last end is no line: it was cut. */
export async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let begun: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      if (begun.length === 0) yield chunk.toString('utf8', from, end);
      else yield Buffer.concat([...begun, chunk.subarray(from, end)]).toString('utf8');
      begun = [];
      length = 0;
      from = end + 1;
    }
    if (from === chunk.length) continue;
    begun.push(chunk.subarray(from));
    length += chunk.length - from;
    if (length > LONGEST_LINE) throw new ApiError('MALFORMED', `a line of more than ${LONGEST_LINE} bytes`);
  }
}
