/** Files as they are now to the content in force of each: the newest that could be read and parsed. */
import { hash } from 'node:crypto';
import { sep } from 'node:path';
import type { Warning } from '../../model/cluster.ts';
import type { Listing, ManifestFile } from './files.ts';
import { halfSaved, isStrictPrefix, type Saved } from './half-saved.ts';
import { type Manifest, ManifestError, parseManifest } from './manifest.ts';

interface Good extends Saved {
  /** The text that this one is the beginning of; itself unless documents were removed at its end. */
  readonly longest: string;
}

interface Known {
  /** Of the text that was parsed last, good or not. */
  readonly digest?: string;
  readonly good?: Good;
  readonly error?: ManifestError;
}

export interface InForce {
  /** In the order of their paths. */
  readonly manifests: readonly Manifest[];
  /** What keeps files and folders from being read anew. */
  readonly warnings: readonly Warning[];
  /** Whether everything that there is could be read at some time. */
  readonly complete: boolean;
}

export class LastGood {
  #known: ReadonlyMap<string, Known> = new Map();

  /** Takes in a new listing; only texts that differ from those before are parsed. */
  update({ files, unreadable }: Listing): InForce {
    const next = new Map<string, Known>();
    const warnings: Warning[] = [];
    let complete = true;
    const miss = (error: ManifestError, stands: boolean): void => {
      warnings.push(warningOf(error, stands));
      complete &&= stands;
    };
    for (const { path, error } of unreadable) {
      const under = [...this.#known].filter(([other, { good }]) => good !== undefined && isWithin(other, path));
      for (const [other, known] of under) next.set(other, known);
      miss(error, under.length > 0);
    }
    for (const file of files) {
      const known = renew(file, this.#known.get(file.path));
      next.set(file.path, known);
      if (known.error !== undefined) miss(known.error, known.good !== undefined);
    }
    this.#known = next;
    const sorted = [...next].sort(([a], [b]) => (a < b ? -1 : 1));
    return { manifests: sorted.flatMap(([, { good }]) => good?.manifest ?? []), warnings, complete };
  }
}

function renew({ name, content }: ManifestFile, before: Known = {}): Known {
  const kept = before.good && { good: before.good };
  if ('error' in content) return { ...kept, error: content.error };
  const { text } = content;
  const digest = hash('sha256', text);
  if (digest === before.digest) return before;
  try {
    const next = { text, manifest: parseManifest(text, name) };
    return { digest, good: kept === undefined ? { ...next, longest: text } : follow(next, kept.good, name) };
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    return { digest, ...kept, error };
  }
}

/** @throws {ManifestError} the text looks like half of a save. */
function follow(next: Saved, good: Good, file: string): Good {
  const half = halfSaved(next, good, good.longest);
  if (half !== undefined) throw new ManifestError(file, half.reason, half);
  // A save that is seen twice, first up to the end of a document, is measured both times by what was there before it.
  return { ...next, longest: isStrictPrefix(next.text, good.longest) ? good.longest : next.text };
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/** The place is in object and message; as origin too, it would be told twice. */
function warningOf({ file, line, message }: ManifestError, stands: boolean): Warning {
  const at = line === undefined ? '' : `line ${line}: `;
  const then = stands ? 'what it said before stays in force' : 'nothing of it is known yet';
  return {
    object: file,
    field: '',
    message: `${at}${message}; ${then}`,
  };
}
