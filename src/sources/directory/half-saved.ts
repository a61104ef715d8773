/**
 * A file's new text beside its last good one to the reason why the new one looks like half of a save, if it does.
 * YAML that is cut off mostly parses, and a policy that is missing opens what it isolated.
 */
import type { Parsed } from '../parse/object.ts';
import { parsedId } from './assemble.ts';
import type { Manifest } from './manifest.ts';

export interface Saved {
  readonly text: string;
  readonly manifest: Manifest;
}

export interface HalfSaved {
  readonly reason: string;
  readonly line?: number;
}

/** Blank lines and comments, then the end of a document or of the file. */
const DOCUMENT_ENDS = /^(?:[ \t\r]*(?:#[^\n]*)?\n)*(?:[ \t\r]*(?:#[^\n]*)?$|(?:---|\.\.\.)(?:\s|$))/;
/** The begin of a document in which nothing stands yet. */
const DOCUMENT_BEGINS = /(?:^|\n)(?:---|\.\.\.)[ \t\r]*(?:#[^\n]*)?\n(?:[ \t\r]*(?:#[^\n]*)?\n)*$/;
/** No content at all up to the end. */
const NOTHING_ELSE = /^[ \t\r]*\n(?:[ \t\r]*(?:#[^\n]*)?\n)*[ \t\r]*(?:#[^\n]*)?$/;

/** undefined for a text that can be taken as it is. `longest`: the text that the good one is the beginning of, mostly itself. */
export function halfSaved(next: Saved, good: Saved, longest: string): HalfSaved | undefined {
  if (good.manifest.objects.length === 0) return undefined;
  if (next.text.trim() === '') return { reason: 'is empty (remove the file if nothing of it shall be left)' };
  if (isStrictPrefix(next.text, longest)) {
    const whole = next.manifest.objects.length > 0 && endsWithDocument(next.text, longest.slice(next.text.length));
    if (whole) return undefined;
    const reason = 'stops in the middle of what it said before (end it with a line `...` if it shall end there)';
    return { reason };
  }
  return newlyUnfinished(next.manifest, good.manifest) ?? cutInLine(next, good);
}

export function isStrictPrefix(text: string, whole: string): boolean {
  return text.length < whole.length && whole.startsWith(text);
}

/** Whether a text and what followed it part where one document was over: then the others were removed. */
function endsWithDocument(text: string, rest: string): boolean {
  if (!text.endsWith('\n')) return !text.endsWith('\r') && NOTHING_ELSE.test(rest);
  return DOCUMENT_ENDS.test(rest) || DOCUMENT_BEGINS.test(text);
}

/** What was there already, a kustomization without a name say, does not keep the file from being edited. */
function newlyUnfinished(next: Manifest, good: Manifest): HalfSaved | undefined {
  const found = next.objects.filter(({ lacks }) => lacks !== undefined);
  if (found.length <= good.objects.filter(({ lacks }) => lacks !== undefined).length) return undefined;
  const { lacks, origin } = found.at(-1) ?? {};
  return { reason: `holds ${lacks}`, ...(origin && { line: origin.line }) };
}

/** A file that ended in a newline and does no more is cut in a line, when it lost something; JSON is whole if it parses. */
function cutInLine(next: Saved, good: Saved): HalfSaved | undefined {
  if (!good.text.endsWith('\n') || next.text.endsWith('\n')) return undefined;
  if (/^\s*\{/.test(next.text) && /\}\s*$/.test(next.text)) return undefined;
  const before = byId(good.manifest);
  const after = byId(next.manifest);
  const gone = [...before.keys()].find((id) => !after.has(id));
  const end = 'ends without the newline that it ended with before';
  if (gone !== undefined) return { reason: `${end}, and without a valid ${gone}` };
  const [id, last] = [...after].at(-1) ?? [];
  const former = id === undefined ? undefined : before.get(id);
  if (last === undefined || former === undefined || contentOf(last) === contentOf(former)) return undefined;
  return { reason: `${end}, and ${id} has changed` };
}

function byId(manifest: Manifest): Map<string, Parsed> {
  const found = new Map<string, Parsed>();
  for (const { parsed } of manifest.objects) {
    const id = parsedId(parsed);
    if (id !== undefined) found.set(id, parsed);
  }
  return found;
}

/** Without the lines that it stands in: they change with every edit further up. Labels of these names are text. */
function contentOf(parsed: Parsed): string {
  return JSON.stringify(parsed, (key, value: unknown) => {
    const isPlace = (key === 'origin' && typeof value === 'object') || (key === 'line' && typeof value === 'number');
    return isPlace ? undefined : value;
  });
}
