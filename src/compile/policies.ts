/**
 * One direction of a NetworkPolicy → the rules of a ruleset. Peers become sets; named ports become numbers,
 * at the holder for ingress, at each destination for egress.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Direction, NetworkPolicy, ObjectKey, Peer } from '../model/cluster.ts';
import type { CompiledRule, PortRange, RuleRef, SetId } from '../model/compiled.ts';
import type { NamedPort, PeerNode, PeerTable } from './peers.ts';
import { mergeRanges, namesOf, type PortName, portKey, rangesOf } from './ports.ts';
import type { RulesetRecord } from './rulesets.ts';

/** A policy of the cluster, whether or not it selects a pod here. */
export interface PolicyRecord {
  readonly key: ObjectKey;
  /** Undefined once deleted. */
  policy: NetworkPolicy | undefined;
  /** Directions in which local pods are under it. */
  readonly active: Map<Direction, ActivePolicy>;
}

/** What named ports mean on the pod that holds a ruleset, by `portKey`. */
export type Meanings = ReadonlyMap<string, readonly number[]>;

interface RuleTemplate {
  readonly ref: RuleRef;
  readonly peers: readonly SetId[] | 'anyone';
  /** Ports that are numbers; `every` when the rule names no port at all. */
  readonly ranges: readonly PortRange[] | 'every';
  /** Ingress: named ports, of which the holder says what they are. */
  readonly names: readonly PortName[];
  /** Egress: named ports, of which the destinations say what they are. */
  readonly lookups: readonly NamedPort[];
  /** What whoever asked last was given: rules that are the same again are the same objects, in every ruleset and state. */
  last: readonly CompiledRule[] | undefined;
}

/** What a policy's rules hold of the peer table. */
interface Uses {
  readonly nodes: PeerNode[];
  readonly lookups: NamedPort[];
}

export class ActivePolicy {
  readonly record: PolicyRecord;
  readonly direction: Direction;
  readonly rulesets = new Set<RulesetRecord>();
  readonly #peers: PeerTable;
  #policy: NetworkPolicy;
  #uses: Uses = { nodes: [], lookups: [] };
  #templates: readonly RuleTemplate[];
  /** Named ports of which the holders of its rulesets say what they are. */
  #names: readonly PortName[] = NO_NAMES;

  constructor(record: PolicyRecord, policy: NetworkPolicy, direction: Direction, peers: PeerTable) {
    this.record = record;
    this.direction = direction;
    this.#peers = peers;
    this.#policy = policy;
    this.#templates = this.#compile();
  }

  /** Takes the policy's new content; returns how to let go of what only the old one needed. */
  replace(policy: NetworkPolicy): () => void {
    const old = this.#uses;
    this.#uses = { nodes: [], lookups: [] };
    this.#policy = policy;
    this.#templates = this.#compile();
    return () => this.#release(old);
  }

  release(): void {
    this.#release(this.#uses);
  }

  get names(): readonly PortName[] {
    return this.#names;
  }

  looksUp(any: ReadonlySet<NamedPort>): boolean {
    return this.#uses.lookups.some((named) => any.has(named));
  }

  rules(meanings: Meanings): CompiledRule[] {
    return this.#templates.flatMap((template) => rulesOf(template, meanings));
  }

  #compile(): RuleTemplate[] {
    const { namespace } = this.#policy;
    const templates = this.#policy[this.direction].map((rule, index): RuleTemplate => {
      const ref: RuleRef = { policy: this.record.key, direction: this.direction, index };
      const names = namesOf(rule.ports);
      const ranges = rule.ports.length === 0 ? 'every' : mergeRanges(rangesOf(rule.ports));
      if (this.direction === 'ingress') {
        return { ref, peers: this.#use(rule.peers, namespace), ranges, names, lookups: [], last: undefined };
      }
      // The peers' own sets are needed only where a port is a number.
      const peers = ranges.length > 0 ? this.#use(rule.peers, namespace) : [];
      const lookups = this.#lookUp(rule.peers, names, namespace);
      return { ref, peers, ranges, names: NO_NAMES, lookups, last: undefined };
    });
    // Nearly all have none, and are asked for every pod.
    const names = templates.flatMap((template) => template.names);
    this.#names = names.length === 0 ? NO_NAMES : names;
    return templates;
  }

  #use(peers: readonly Peer[], namespace: string): SetId[] | 'anyone' {
    // "If this field is empty or missing, this rule matches all sources" (destinations, for egress).
    if (peers.length === 0) return 'anyone';
    const nodes = peers.map((peer) => this.#peers.use(peer, namespace));
    for (const node of nodes) this.#uses.nodes.push(node);
    return [...new Set(nodes.map((node) => node.id as SetId))].sort();
  }

  #lookUp(peers: readonly Peer[], names: readonly PortName[], namespace: string): NamedPort[] {
    const from = peers.length === 0 ? (['anyone'] as const) : peers;
    const lookups = names.flatMap((name) => from.map((peer) => this.#peers.useName(peer, namespace, name)));
    for (const named of lookups) this.#uses.lookups.push(named);
    return lookups;
  }

  #release(uses: Uses): void {
    for (const node of uses.nodes) this.#peers.release(node);
    for (const named of uses.lookups) this.#peers.releaseName(named);
  }
}

const NO_NAMES: readonly PortName[] = [];

function rulesOf(template: RuleTemplate, meanings: Meanings): readonly CompiledRule[] {
  const { names, lookups, last } = template;
  if (last !== undefined && names.length === 0 && lookups.length === 0) return last;
  const rules = makeRules(template, meanings);
  if (last !== undefined && isDeepStrictEqual(rules, last)) return last;
  template.last = rules;
  return rules;
}

/** A rule that admits nothing, because no pod knows its port's name, is left out: no ports must never look like every port. */
function makeRules(template: RuleTemplate, meanings: Meanings): CompiledRule[] {
  const { ref, peers, ranges } = template;
  if (ranges === 'every') return [{ ref, peers, ports: 'every' }];
  const ports = template.names.length === 0 ? ranges : mergeRanges([...ranges, ...namedRanges(template, meanings)]);
  const rules: CompiledRule[] = ports.length > 0 ? [{ ref, peers, ports }] : [];
  for (const { range, sets } of destinations(template.lookups)) {
    rules.push({ ref, peers: [...new Set(sets)].sort(), ports: [range] });
  }
  return rules;
}

function namedRanges(template: RuleTemplate, meanings: Meanings): PortRange[] {
  return template.names.flatMap((name) =>
    (meanings.get(portKey(name)) ?? []).map((port) => ({ protocol: name.protocol, from: port, to: port })),
  );
}

/** For each number that destinations mean: the sets of those that do. */
function destinations(lookups: readonly NamedPort[]): { range: PortRange; sets: SetId[] }[] {
  const byPort = new Map<string, { range: PortRange; sets: SetId[] }>();
  for (const { port, numbers } of lookups) {
    for (const [number, record] of numbers) {
      const key = `${port.protocol} ${number}`;
      const entry = byPort.get(key) ?? { range: { protocol: port.protocol, from: number, to: number }, sets: [] };
      entry.sets.push(record.id);
      byPort.set(key, entry);
    }
  }
  return [...byPort.values()].sort(({ range: a }, { range: b }) =>
    a.protocol === b.protocol ? a.from - b.from : a.protocol < b.protocol ? -1 : 1,
  );
}
