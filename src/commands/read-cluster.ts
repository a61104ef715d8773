/** The objects of manifests for commands that answer from them alone; what is wrong with objects goes to stderr. */
import type { ClusterObject, Warning } from '../model/cluster.ts';
import { readManifests } from '../sources/directory/directory-source.ts';

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

/** @throws {UnreadableManifestsError} */
export async function readCluster(paths: readonly string[]): Promise<readonly ClusterObject[]> {
  const { objects, warnings, synced } = await readManifests(paths);
  for (const warning of warnings) process.stderr.write(`warning: ${warningText(warning)}\n`);
  if (!synced) throw new UnreadableManifestsError(paths);
  return objects;
}

/** `policies.yaml:3: NetworkPolicy shop/web spec.ingress[0]: ...`. */
function warningText({ object, field, message, origin }: Warning): string {
  const where = origin === undefined || origin.file === object ? '' : `${origin.file}:${origin.line}: `;
  return `${where}${object}${field === '' ? '' : ` ${field}`}: ${message}`;
}
