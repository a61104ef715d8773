/** A plain parsed value to the slim object that it stands for, or to the warnings that say why it stands for none. */
import type { ClusterObject, Pod, Warning } from '../../model/cluster.ts';
import { parseNamespace, parseNode, parseService } from './cluster-kinds.ts';
import { type Draft, draftOf, type Fault, type Place } from './draft.ts';
import { parseNetworkPolicy } from './network-policy.ts';
import { type ParsedPod, parsePod } from './pod.ts';
import { parseWorkload, WORKLOAD_KINDS, type Workload, type WorkloadKind } from './workload.ts';

export type Parsed =
  | { readonly type: 'object'; readonly object: Exclude<ClusterObject, Pod> }
  | ({ readonly type: 'pod' } & ParsedPod)
  | { readonly type: 'workload'; readonly workload: Workload }
  /** `name` as the object gives it, if it does. */
  | { readonly type: 'invalid'; readonly kind: string; readonly name?: string }
  /** Of a kind that nothing here depends on. */
  | { readonly type: 'other'; readonly apiVersion: string; readonly kind: string };

export interface ObjectType {
  readonly apiVersion: string;
  readonly kind: string;
}

export interface ParseResult {
  readonly parsed: Parsed;
  readonly warnings: readonly Warning[];
}

const PARSERS: Readonly<Record<string, { readonly apiVersion: string; readonly parse: (draft: Draft) => Parsed }>> = {
  Namespace: { apiVersion: 'v1', parse: (draft) => ({ type: 'object', object: parseNamespace(draft) }) },
  Node: { apiVersion: 'v1', parse: (draft) => ({ type: 'object', object: parseNode(draft) }) },
  Service: { apiVersion: 'v1', parse: (draft) => ({ type: 'object', object: parseService(draft) }) },
  Pod: { apiVersion: 'v1', parse: (draft) => ({ type: 'pod', ...parsePod(draft) }) },
  NetworkPolicy: {
    apiVersion: 'networking.k8s.io/v1',
    parse: (draft) => ({ type: 'object', object: parseNetworkPolicy(draft) }),
  },
  ...Object.fromEntries(
    Object.entries(WORKLOAD_KINDS).map(([kind, apiVersion]) => [
      kind,
      {
        apiVersion,
        parse: (draft: Draft) => ({ type: 'workload', workload: parseWorkload(draft, kind as WorkloadKind) }),
      },
    ]),
  ),
};

const CYCLE = 'an alias stands inside of what it names';

/** No object gives more warnings than this; a last one counts the rest. */
const MOST_WARNINGS = 10;

/**
 * Parses one object. `assumed` is the type of an object that does not say it itself, as in the lists of the API server.
 * Never throws, whatever the value is.
 */
export function parseObject(value: unknown, place: Place = {}, assumed?: ObjectType): ParseResult {
  const draft = draftOf(value, place);
  const kindField = draft.root.child('kind');
  const kind = kindField.text() ?? assumed?.kind ?? '';
  // Of what is no object that is said already.
  if (kind === '' && draft.errors.length === 0) kindField.complain('a kind is required');
  const apiVersion = draft.root.child('apiVersion').text() ?? assumed?.apiVersion;
  const parser = Object.hasOwn(PARSERS, kind) ? PARSERS[kind] : undefined;
  if (kind !== '' && apiVersion !== undefined && parser?.apiVersion !== apiVersion) {
    return { parsed: { type: 'other', apiVersion, kind }, warnings: [] };
  }
  if (kind !== '' && (apiVersion === undefined || place.cycle !== undefined)) wholeFaults(draft, kind, apiVersion);

  const parsed = parser?.parse(draft);
  const name = nameIn(value, kind);
  const object = `${kind || 'object'} ${name ?? 'without a name'}`;
  if (parsed !== undefined && draft.errors.length === 0) {
    return { parsed, warnings: warningsOf(draft.remarks, object, place) };
  }
  const faults = draft.errors.map(({ field, message }) => ({ field, message: `${message}; the object is left out` }));
  return {
    parsed: { type: 'invalid', kind, ...(name !== undefined && { name }) },
    warnings: warningsOf([...faults, ...draft.remarks], object, place),
  };
}

/** Faults that no single field's parser sees; those of a policy leave in force what it isolates. */
function wholeFaults({ place, errors, ruleErrors }: Draft, kind: string, apiVersion: string | undefined): void {
  const faults = kind === 'NetworkPolicy' && !place.cycle?.startsWith('spec.podSelector') ? ruleErrors : errors;
  if (apiVersion === undefined) faults.push({ field: 'apiVersion', message: 'an apiVersion is required' });
  if (place.cycle !== undefined) faults.push({ field: place.cycle, message: CYCLE });
}

function warningsOf(faults: readonly Fault[], object: string, place: Place): Warning[] {
  const shown = faults.length > MOST_WARNINGS ? faults.slice(0, MOST_WARNINGS - 1) : faults;
  const rest = faults.length - shown.length;
  return [...shown, ...(rest > 0 ? [{ field: '', message: `${rest} more faults` }] : [])].map((fault) => ({
    object,
    ...fault,
    ...(place.origin && { origin: place.origin }),
  }));
}

/** The name that a value gives itself, as far as it does. */
function nameIn(value: unknown, kind: string): string | undefined {
  const { metadata } = (value ?? {}) as { metadata?: { name?: unknown; namespace?: unknown } | null };
  if (typeof metadata?.name !== 'string') return undefined;
  if (kind === 'Namespace' || kind === 'Node') return metadata.name;
  const named = typeof metadata.namespace === 'string' && metadata.namespace !== '';
  return `${named ? metadata.namespace : 'default'}/${metadata.name}`;
}
