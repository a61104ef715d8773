/** Texts to stdout, however many and however slow its reader; one that has gone, as `head` does, ends the command quietly. */
import { once } from 'node:events';
import { fstatSync } from 'node:fs';
import { onReaderGone } from '../child-process.ts';
import { stopRunning } from './stop-signal.ts';

/** Texts are written in pieces of about so many characters. */
const PIECE = 1 << 18;

/** For the whole process, before anything is written: without it a reader that has gone ends it with a stack and nothing put away. */
export function endWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => {
      if (!isReaderGone(error)) throw error;
      if (!stopRunning(error)) process.exit();
    });
  }
}

/** Whether an error says no more than that nobody reads on. */
export function isReaderGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EPIPE';
}

/** For commands that are silent for long: a writer is told that its reader has gone only when it writes. */
export function watchReader(): Disposable {
  if (!fstatSync(1).isFIFO()) return { [Symbol.dispose]: () => {} };
  const gone = Object.assign(new Error('nobody reads on'), { code: 'EPIPE' });
  return onReaderGone(() => stopRunning(gone));
}

export async function writeOutput(texts: Iterable<string>): Promise<void> {
  let piece = '';
  for (const text of texts) {
    piece += text;
    if (piece.length < PIECE) continue;
    await write(piece);
    piece = '';
  }
  await write(piece);
}

async function write(piece: string): Promise<void> {
  if (!process.stdout.write(piece)) await once(process.stdout, 'drain');
}
