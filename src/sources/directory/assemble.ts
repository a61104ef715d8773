/** The objects of all manifests to one cluster: no object twice, workloads as their pods, nothing that the API implies left out. */
import { allocate } from '../../model/allocate.ts';
import {
  type ClusterObject,
  keyOf,
  type Namespace,
  type ObjectKey,
  type Origin,
  type Warning,
} from '../../model/cluster.ts';
import { nodeNames } from '../../model/placement.ts';
import type { Parsed } from '../parse/object.ts';
import { podsOf, type Workload } from '../parse/workload.ts';
import type { Manifest } from './manifest.ts';

export interface Assembled {
  /** By kind and key, `Pod shop/web`. */
  readonly objects: ReadonlyMap<string, ClusterObject>;
  readonly warnings: readonly Warning[];
}

type Found = Manifest['objects'][number];

/** `allocates`: pods without a node or an address get them (model/allocate.ts). */
export function assemble(manifests: readonly Manifest[], allocates: boolean): Assembled {
  const all = manifests.flatMap(({ objects }) => objects);
  const { kept, warnings: duplicates } = withoutDuplicates(all);
  const declared = kept.flatMap(({ parsed }) =>
    parsed.type === 'object' || parsed.type === 'pod' ? [parsed.object] : [],
  );
  const workloads = kept.flatMap(({ parsed }) => (parsed.type === 'workload' ? [parsed.workload] : []));
  const objects = new Map(declared.map((object) => [idOf(object), object]));
  const ofPods = addPods(objects, workloads, ownersOf(kept));
  addNamespaces(objects, all);
  const ofManifests = manifests.flatMap((manifest) => manifest.warnings);
  const warnings = [...duplicates, ...ofPods, ...otherKinds(all), ...ofManifests];
  if (!allocates) return { objects, warnings };
  const unaddressed = kept.flatMap(({ parsed }) =>
    parsed.type === 'pod' && parsed.unaddressed ? keyOf(parsed.object) : [],
  );
  const allocation = allocate([...objects.values()], new Set<ObjectKey>(unaddressed));
  return {
    objects: new Map(allocation.objects.map((object) => [idOf(object), object])),
    warnings: [...warnings, ...allocation.warnings],
  };
}

export function idOf(object: ClusterObject): string {
  return `${object.kind} ${keyOf(object)}`;
}

/** Of several objects with one name the first stands, in the order of paths, then of documents. */
function withoutDuplicates(all: readonly Found[]): { kept: Found[]; warnings: Warning[] } {
  const first = new Map<string, Origin>();
  const warnings: Warning[] = [];
  const kept = all.filter(({ parsed, origin }) => {
    const id = parsedId(parsed);
    if (id === undefined) return false;
    const earlier = first.get(id);
    if (earlier === undefined) {
      first.set(id, origin);
      return true;
    }
    warnings.push(duplicate(id, origin, earlier));
    return false;
  });
  return { kept, warnings };
}

/** `Pod shop/web`. What is not valid takes nobody's name. */
export function parsedId(parsed: Parsed): string | undefined {
  if (parsed.type === 'object' || parsed.type === 'pod') return idOf(parsed.object);
  if (parsed.type !== 'workload') return undefined;
  const { kind, namespace, name } = parsed.workload;
  return `${kind} ${namespace}/${name}`;
}

function duplicate(object: string, origin: Origin | undefined, earlier: Origin | undefined): Warning {
  const where = earlier && `${earlier.file}, document ${earlier.document}, line ${earlier.line}`;
  return {
    object,
    field: '',
    message: `is already there in ${where ?? 'another object'}; this one is left out`,
    ...(origin && { origin }),
  };
}

/**
 * Controllers that others in the manifests, their pods at last, name as the one that made them: a dump of a cluster
 * holds the Deployment, its ReplicaSet and the pods, and each pod counts once.
 */
function ownersOf(kept: readonly Found[]): Set<string> {
  const owners = kept.flatMap(({ parsed }) => {
    if (parsed.type === 'pod') return parsed.owner ?? [];
    return parsed.type === 'workload' ? (parsed.workload.owner ?? []) : [];
  });
  return new Set(owners);
}

function addPods(
  objects: Map<string, ClusterObject>,
  workloads: readonly Workload[],
  owners: ReadonlySet<string>,
): Warning[] {
  const warnings: Warning[] = [];
  const nodes = nodeNames(
    objects.values(),
    workloads.flatMap(({ spec }) => spec.node ?? []),
  );
  for (const workload of workloads) {
    if (owners.has(`${workload.kind} ${workload.namespace}/${workload.name}`)) continue;
    for (const pod of podsOf(workload, nodes)) {
      const earlier = objects.get(idOf(pod));
      if (earlier === undefined) objects.set(idOf(pod), pod);
      else
        warnings.push(duplicate(`${idOf(pod)} of ${workload.kind} ${workload.name}`, workload.origin, earlier.origin));
    }
  }
  return warnings;
}

/** A namespace that objects are in exists and has its name's label; one whose manifest is not valid is not made up. */
function addNamespaces(objects: Map<string, ClusterObject>, all: readonly Found[]): void {
  const invalid = new Set(
    all.flatMap(({ parsed }) => (parsed.type === 'invalid' && parsed.kind === 'Namespace' ? (parsed.name ?? []) : [])),
  );
  for (const object of [...objects.values()]) {
    if (!('namespace' in object) || invalid.has(object.namespace)) continue;
    const labels = { 'kubernetes.io/metadata.name': object.namespace };
    const namespace: Namespace = { kind: 'Namespace', name: object.namespace, labels };
    if (!objects.has(idOf(namespace))) objects.set(idOf(namespace), namespace);
  }
}

/** Each kind that nothing here depends on is named once. */
function otherKinds(all: readonly Found[]): Warning[] {
  const found = new Map<string, { origin: Origin; count: number }>();
  for (const { parsed, origin } of all) {
    if (parsed.type !== 'other') continue;
    const object = `${parsed.apiVersion} ${parsed.kind}`;
    found.set(object, { origin: found.get(object)?.origin ?? origin, count: (found.get(object)?.count ?? 0) + 1 });
  }
  return [...found].map(([object, { origin, count }]) => {
    const left = `${count === 1 ? 'it is' : `all ${count} are`} left alone`;
    const why = POLICY.test(object) ? 'policies of this kind are not enforced here' : 'no verdict depends on this kind';
    return { object, field: '', message: `${why}; ${left}`, origin };
  });
}

/** Others' kinds, and NetworkPolicy of an API version that servers have no more. */
const POLICY = /NetworkPolicy$/;
