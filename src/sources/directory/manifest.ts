/** The text of one file, YAML or JSON with any number of documents, to the parsed objects in it. */
import { Composer, type Document, isNode, LineCounter, Parser, type YAMLParseError } from 'yaml';
import type { Origin, Warning } from '../../model/cluster.ts';
import type { Place } from '../parse/draft.ts';
import { pathText } from '../parse/field.ts';
import { type ObjectType, type Parsed, type ParseResult, parseObject } from '../parse/object.ts';
import { unfinished } from '../parse/unfinished.ts';

interface Found {
  readonly parsed: Parsed;
  readonly origin: Origin;
  /** What its head lacks, `an object without a kind`. */
  readonly lacks?: string;
}

export interface Manifest {
  readonly objects: readonly Found[];
  /** What is wrong with single objects. */
  readonly warnings: readonly Warning[];
}

/** A file is no YAML or JSON, or cannot be read; nothing is known of its objects. */
export class ManifestError extends Error {
  readonly code = 'MANIFEST';
  readonly file: string;
  readonly line: number | undefined;
  constructor(file: string, reason: string, options?: ErrorOptions & { line?: number }) {
    super(reason, options);
    this.name = 'ManifestError';
    this.file = file;
    this.line = options?.line;
  }
}

/** Aliases may repeat a value this often in all; more is taken for an attempt to fill the memory. */
const MOST_ALIASES = 1000;
/** Lists inside of lists. */
const DEEPEST_LIST = 8;
/** The lines of a JSON file larger than this are not looked up: reading it as YAML would take seconds. */
const LARGE_JSON = 2 ** 20;

type Path = readonly (string | number)[];
type LineOf = (path: Path) => number | undefined;

/** One value of a document, still to be parsed. */
interface Item {
  readonly value: unknown;
  readonly path: Path;
  readonly assumed?: ObjectType;
}

/** @throws {ManifestError} the text is no YAML or JSON. */
export function parseManifest(text: string, file: string): Manifest {
  try {
    return parseDocuments(text, file);
  } catch (cause) {
    if (cause instanceof ManifestError) throw cause;
    // Aliases without an anchor, too many of them, values nested deeper than the stack.
    throw new ManifestError(file, (cause as Error).message, { cause });
  }
}

function parseDocuments(text: string, file: string): Manifest {
  const objects: Found[] = [];
  const warnings: Warning[] = [];
  for (const { value, document, lineOf } of documentsOf(text, file)) {
    const cycle = text.includes('&') ? cycleIn(value) : undefined;
    if (cycle?.every((key) => key === 'items' || typeof key === 'number')) {
      throw new ManifestError(file, 'a List stands inside of itself', { line: lineOf([]) ?? 1 });
    }
    for (const item of itemsOf({ value, path: [] }, 0)) {
      const origin: Origin = { file, document, line: lineOf(item.path) ?? 1 };
      const { parsed, warnings: found } = parseItem(item, { origin, lineOf, ...(cycle && { cycle }) });
      const lacks = unfinished(item.value, item.assumed);
      objects.push({ parsed, origin, ...(lacks !== undefined && { lacks }) });
      for (const warning of found) warnings.push(warning);
    }
  }
  return { objects, warnings };
}

function parseItem(item: Item, found: { origin: Origin; lineOf: LineOf; cycle?: Path }): ParseResult {
  const { value, path, assumed } = item;
  const inside = found.cycle && path.every((key, index) => found.cycle?.[index] === key);
  const place: Place = {
    origin: found.origin,
    lineOf: (inner) => found.lineOf([...path, ...inner]),
    ...(inside && found.cycle && { cycle: pathText(found.cycle.slice(path.length)) }),
  };
  return parseObject(value, place, assumed);
}

function* documentsOf(text: string, file: string): Generator<{ value: unknown; document: number; lineOf: LineOf }> {
  const json = text.length > LARGE_JSON && /^\s*\{/.test(text) ? asJson(text) : undefined;
  if (json !== undefined) {
    yield { value: json, document: 1, lineOf: () => undefined };
    return;
  }
  const lines = new LineCounter();
  // One document at a time: the syntax tree takes a hundred times the room of its text.
  const composer = new Composer({ merge: true, logLevel: 'error', prettyErrors: false });
  const check = ([error]: readonly YAMLParseError[]): void => {
    if (error !== undefined) throw new ManifestError(file, error.message, { line: lines.linePos(error.pos[0]).line });
  };
  let number = 0;
  for (const document of composer.compose(new Parser(lines.addNewLine).parse(text))) {
    number++;
    check(document.errors);
    const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
    if (value !== null && value !== undefined) {
      yield { value, document: number, lineOf: (path) => lineIn(document, lines, path) };
    }
  }
  check(composer.streamInfo().errors);
}

/** undefined for what is no JSON: then the YAML parser says what is wrong with it. */
function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function lineIn(document: Document, lines: LineCounter, path: Path): number | undefined {
  const node = path.length === 0 ? document.contents : document.getIn(path, true);
  return isNode(node) && node.range ? lines.linePos(node.range[0]).line : undefined;
}

/** The objects of a document: itself, or those of a List or of a typed list such as PodList. */
function* itemsOf(item: Item, depth: number): Generator<Item> {
  const { kind, apiVersion, items } = (item.value ?? {}) as Record<string, unknown>;
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(items) || depth > DEEPEST_LIST) {
    yield item;
    return;
  }
  const itemKind = kind.slice(0, -'List'.length);
  const assumed = itemKind !== '' && typeof apiVersion === 'string' ? { assumed: { apiVersion, kind: itemKind } } : {};
  for (const [index, value] of items.entries()) {
    yield* itemsOf({ value, path: [...item.path, 'items', index], ...assumed }, depth + 1);
  }
}

/** The path of the first value that holds itself; such a value has no end. */
function cycleIn(root: unknown): Path | undefined {
  const open = new Set<unknown>();
  const done = new Set<unknown>();
  const search = (value: unknown, path: (string | number)[]): Path | undefined => {
    if (typeof value !== 'object' || value === null || done.has(value)) return undefined;
    if (open.has(value)) return path;
    open.add(value);
    const entries: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
    for (const [key, child] of entries) {
      const found = search(child, [...path, key]);
      if (found !== undefined) return found;
    }
    open.delete(value);
    done.add(value);
    return undefined;
  };
  return search(root, []);
}
