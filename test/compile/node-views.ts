/** Raw objects → what each node compiles of them, and their common verdict on a question of the oracle. */
import { Compiler } from '../../src/compile/compiler.ts';
import { type Address, parseAddress } from '../../src/model/address.ts';
import type { ClusterObject, Node, Pod } from '../../src/model/cluster.ts';
import { type DirectionVerdict, verdictOf } from '../../src/model/verdict.ts';
import { parseObject } from '../../src/sources/parse/object.ts';
import type { Family } from '../support/oracle/addresses.ts';
import type { ClusterObject as RawObject } from '../support/oracle/objects.ts';
import type { Question } from '../support/oracle/oracle.ts';

export interface CommonVerdict {
  readonly allowed: boolean;
  readonly egress?: DirectionVerdict;
  readonly ingress?: DirectionVerdict;
}

interface NodeView {
  readonly compiler: Compiler;
  readonly ownAddresses: ReadonlySet<Address>;
}

export class NodeViews {
  readonly #objects: readonly ClusterObject[];
  readonly #views: readonly NodeView[];

  constructor(raw: readonly RawObject[]) {
    this.#objects = raw.map(slim);
    const names = new Set(
      this.#objects.flatMap((o) => (o.kind === 'Node' ? [o.name] : o.kind === 'Pod' ? [o.node] : [])),
    );
    this.#views = [...names].filter((name) => name !== undefined).map((name) => this.#viewOf(name));
  }

  /** The source's node judges its egress, the destination's node its ingress; undefined when an end has no such address. */
  judge({ from, to, family, protocol, port }: Question): CommonVerdict | undefined {
    const source = this.#addressOf(from, family);
    const destination = this.#addressOf(to, family);
    if (source === undefined || destination === undefined) return undefined;
    const named = protocol === 'TCP' || protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'other';
    const verdicts = this.#views.map(({ compiler, ownAddresses }) =>
      verdictOf(compiler.state, { source, destination, protocol: named, port: port ?? 0, ownAddresses }),
    );
    const egress = verdicts.find((verdict) => verdict.egress !== undefined)?.egress;
    const ingress = verdicts.find((verdict) => verdict.ingress !== undefined)?.ingress;
    return {
      allowed: verdicts.every(({ allowed }) => allowed),
      ...(egress && { egress }),
      ...(ingress && { ingress }),
    };
  }

  #viewOf(name: string): NodeView {
    const compiler = new Compiler({ node: name });
    compiler.apply(this.#objects.map((object) => ({ type: 'upsert', object })));
    const own = this.#objects.flatMap((object) => {
      if (object.kind === 'Node') return object.name === name ? object.addresses : [];
      return object.kind === 'Pod' && object.hostNetwork && !object.finished && object.node === name
        ? object.addresses
        : [];
    });
    return { compiler, ownAddresses: new Set(own) };
  }

  #addressOf(end: string, family: Family): Address | undefined {
    const ofFamily = (address: Address) => address.includes(':') === (family === 'IPv6');
    if (!end.includes('/')) return [parseAddress(end) as Address].find(ofFamily);
    const pod = this.#objects.find((o): o is Pod => o.kind === 'Pod' && `${o.namespace}/${o.name}` === end);
    if (pod === undefined || pod.finished) return undefined;
    const node = this.#objects.find((o): o is Node => o.kind === 'Node' && o.name === pod.node);
    return [...pod.addresses, ...(pod.hostNetwork ? (node?.addresses ?? []) : [])].find(ofFamily);
  }
}

function slim(raw: RawObject): ClusterObject {
  const { parsed, warnings } = parseObject(raw);
  if (parsed.type !== 'object' && parsed.type !== 'pod') throw new Error(JSON.stringify({ raw, warnings }));
  return parsed.object;
}
