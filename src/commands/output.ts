/** Texts to stdout, however many and however slow its reader; one that has gone, as `head` does, ends the command quietly. */
import { once } from 'node:events';

/** Texts are written in pieces of about so many characters. */
const PIECE = 1 << 18;

export async function writeOutput(texts: Iterable<string>): Promise<void> {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
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
