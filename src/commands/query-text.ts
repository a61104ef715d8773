/** `--queries FILE`, for every command that answers some: the text of a file, or of standard input. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { QueryError } from '../model/query.ts';

/** @param file - for standard input @throws {QueryError} it cannot be read */
export async function readQueryText(file: string): Promise<string> {
  if (file === '-') return text(process.stdin);
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : message;
    throw new QueryError(`--queries ${file}: ${why}`, { cause });
  }
}
