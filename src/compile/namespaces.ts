/**
 * The namespaces with what lives in them, and the scopes of peers: for each namespaceSelector in use,
 * the namespaces that it selects, worked out once and kept while labels change.
 */
import type { Labels, Pod, Selector } from '../model/cluster.ts';
import { matches, selectorText } from '../model/selector.ts';
import type { LocalPod } from './local-pod.ts';
import type { PodsNode } from './peers.ts';
import type { PolicyRecord } from './policies.ts';
import { SelectorIndex } from './selector-index.ts';

export class NamespaceRecord {
  readonly name: string;
  labels: Labels;
  /** There is a Namespace object; one that only holds pods has just the label with its name. */
  declared = false;
  /** By name, as the two below. */
  readonly pods = new Map<string, Pod>();
  readonly policies = new Map<string, PolicyRecord>();
  readonly locals = new Map<string, LocalPod>();
  /** The scopes that this namespace belongs to. */
  scopes: Scope[] = [];

  constructor(name: string) {
    this.name = name;
    this.labels = impliedLabels(name);
  }

  get unused(): boolean {
    return !this.declared && this.pods.size === 0 && this.policies.size === 0 && this.locals.size === 0;
  }
}

/** The namespaces of a peer, and the peers that ask about pods in just these. */
export class Scope {
  /** `ns{team=a} pod` or `shop/`; a peer's id is this and its podSelector. */
  readonly id: string;
  readonly namespaces = new Set<NamespaceRecord>();
  readonly peers = new SelectorIndex<PodsNode>();
  readonly #which: Selector | string;

  /** @param which a namespaceSelector, or the name of one namespace */
  constructor(id: string, which: Selector | string) {
    this.id = id;
    this.#which = which;
  }

  covers(namespace: NamespaceRecord): boolean {
    if (typeof this.#which === 'string') return this.#which === namespace.name;
    return matches(this.#which, namespace.labels);
  }
}

export class NamespaceTable {
  readonly #records = new Map<string, NamespaceRecord>();
  readonly #scopes = new Map<string, Scope>();

  get size(): number {
    return this.#records.size;
  }

  get scopes(): number {
    return this.#scopes.size;
  }

  /** Over all scopes, their namespaces. */
  get placements(): number {
    let count = 0;
    for (const scope of this.#scopes.values()) count += scope.namespaces.size;
    return count;
  }

  get(name: string): NamespaceRecord | undefined {
    return this.#records.get(name);
  }

  all(): Iterable<NamespaceRecord> {
    return this.#records.values();
  }

  obtain(name: string): NamespaceRecord {
    let record = this.#records.get(name);
    if (record === undefined) {
      record = new NamespaceRecord(name);
      this.#records.set(name, record);
      this.#place(record);
    }
    return record;
  }

  /** Takes the labels of the object, or of none; tells whether the namespace now belongs to other scopes. */
  relabel(record: NamespaceRecord, labels: Labels | undefined): boolean {
    record.declared = labels !== undefined;
    record.labels = labels ?? impliedLabels(record.name);
    return this.#place(record);
  }

  /** Forgets the namespace if nothing speaks of it any more. */
  sweep(record: NamespaceRecord): void {
    if (!record.unused) return;
    for (const scope of record.scopes) scope.namespaces.delete(record);
    this.#records.delete(record.name);
  }

  /** The scope of a namespaceSelector or, by name, of one namespace. */
  obtainScope(which: Selector | string): Scope {
    const id = typeof which === 'string' ? `${which}/` : `ns${selectorText(which)} pod`;
    let scope = this.#scopes.get(id);
    if (scope === undefined) {
      scope = new Scope(id, which);
      this.#scopes.set(id, scope);
      for (const namespace of this.#candidates(which)) {
        if (!scope.covers(namespace)) continue;
        scope.namespaces.add(namespace);
        namespace.scopes.push(scope);
      }
    }
    return scope;
  }

  sweepScope(scope: Scope): void {
    if (scope.peers.size > 0) return;
    for (const namespace of scope.namespaces) namespace.scopes = namespace.scopes.filter((other) => other !== scope);
    this.#scopes.delete(scope.id);
  }

  #candidates(which: Selector | string): Iterable<NamespaceRecord> {
    if (typeof which !== 'string') return this.#records.values();
    const record = this.#records.get(which);
    return record === undefined ? [] : [record];
  }

  #place(record: NamespaceRecord): boolean {
    const scopes = [...this.#scopes.values()].filter((scope) => scope.covers(record));
    const before = new Set(record.scopes);
    if (scopes.length === before.size && scopes.every((scope) => before.has(scope))) return false;
    for (const scope of before) scope.namespaces.delete(record);
    for (const scope of scopes) scope.namespaces.add(record);
    record.scopes = scopes;
    return true;
  }
}

function impliedLabels(name: string): Labels {
  return { 'kubernetes.io/metadata.name': name };
}
