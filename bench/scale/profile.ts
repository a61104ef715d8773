/** CPU profiles of this process, one for each part of the benchmark: for Chrome's developer tools. */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';

let session: Session | undefined;

/** Not while programs are loaded: its signals interrupt the kernel's verifier. */
export async function startProfile(): Promise<void> {
  if (session !== undefined) return;
  session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.start');
}

/** Writes what was sampled since the last call, and goes on. */
export async function writeProfile(path: string): Promise<void> {
  if (session === undefined) return;
  const { profile } = await session.post('Profiler.stop');
  writeFileSync(path, JSON.stringify(profile));
  await session.post('Profiler.start');
}
