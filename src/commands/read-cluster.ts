/** The objects of manifests for commands that answer from them alone; what is wrong with objects goes to stderr. */
import { existsSync } from 'node:fs';
import type { ClusterObject, Warning } from '../model/cluster.ts';
import { readManifests } from '../sources/directory/directory-source.ts';
import { UsageError } from './usage-error.ts';

/** Something could not be read, so that answers would be about another cluster than the user means. */
export class UnreadableManifestsError extends Error {
  readonly code = 'MANIFESTS_UNREADABLE';
  constructor(paths: readonly string[]) {
    super(
      `not everything in ${paths.join(', ')} could be read (see the warnings above), so nothing can be said for sure`,
    );
    this.name = 'UnreadableManifestsError';
  }
}

/** There is nothing that an answer could be about. */
export class NoObjectsError extends Error {
  readonly code = 'NO_OBJECTS';
  constructor(paths: readonly string[]) {
    super(`there is no object in ${paths.join(', ')} that a verdict could depend on`);
    this.name = 'NoObjectsError';
  }
}

/** @throws {UsageError} a path that the user gave is not there, and no reading of it will be any better */
export function requirePaths(option: string, paths: readonly string[]): void {
  const missing = paths.find((path) => !existsSync(path));
  if (missing !== undefined) throw new UsageError(`${option} ${missing}: there is no such file or folder`);
}

/** @throws {UnreadableManifestsError | NoObjectsError} */
export async function readCluster(paths: readonly string[]): Promise<readonly ClusterObject[]> {
  const { objects, warnings, synced } = await readManifests(paths);
  for (const warning of warnings) process.stderr.write(`warning: ${warningText(warning)}\n`);
  if (!synced) throw new UnreadableManifestsError(paths);
  // The rest is made up: nodes for pods, say.
  if (objects.every(({ origin }) => origin === undefined)) throw new NoObjectsError(paths);
  return objects;
}

/** `policies.yaml:3: NetworkPolicy shop/web spec.ingress[0]: ...`. */
function warningText({ object, field, message, origin }: Warning): string {
  const where = origin === undefined || origin.file === object ? '' : `${origin.file}:${origin.line}: `;
  return `${where}${object}${field === '' ? '' : ` ${field}`}: ${message}`;
}
