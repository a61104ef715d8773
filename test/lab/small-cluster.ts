/** Clusters for the lab's tests: nodes by number, pods by name on them, with addresses as the allocation would give. */
import type { Address, Prefix } from '../../src/model/address.ts';
import type { ContainerPort, Node, Pod, Service } from '../../src/model/cluster.ts';
import { type End, parseEnd, parsePort, type Query } from '../../src/model/query.ts';

export function node(number: number, options: Partial<Node> = {}): Node {
  return {
    kind: 'Node',
    name: `node${number}`,
    addresses: [`172.30.0.${number + 1}`, `fd00:172:30::${number + 1}`] as Address[],
    podPrefixes: [`10.244.${number}.0/24`, `fd00:10:244:${number}::/64`] as Prefix[],
    ...options,
  };
}

/** `number` is the place in the node's prefixes. */
export function pod(name: string, onNode: number, number: number, options: Partial<Pod> = {}): Pod {
  return {
    kind: 'Pod',
    namespace: 'shop',
    name,
    labels: {},
    node: `node${onNode}`,
    addresses: [`10.244.${onNode}.${number}`, `fd00:10:244:${onNode}::${number.toString(16)}`] as Address[],
    hostNetwork: false,
    finished: false,
    ports: [],
    ...options,
  };
}

/** Port 80/TCP to port 8080 of the pods with the label `app: NAME`; `number` is the end of its cluster addresses. */
export function service(name: string, number: number, options: Partial<Service> = {}): Service {
  return {
    kind: 'Service',
    namespace: 'shop',
    name,
    addresses: [`10.96.0.${number}`, `fd00:10:96::${number}`] as Address[],
    ports: [{ protocol: 'TCP', port: 80, targetPort: 8080 }],
    selector: { app: name },
    ...options,
  };
}

export function tcp(port: number): ContainerPort {
  return { protocol: 'TCP', port };
}

/** `ask('shop/web', 'shop/api', '80/udp', 'IPv6')`; ends without a slash or an address are pods of `shop`. */
export function ask(from: string, to: string, port = '80/tcp', family?: 'IPv4' | 'IPv6'): Query {
  return { from: end(from), to: end(to), ...parsePort(port), ...(family && { family }) };
}

function end(text: string): End {
  return parseEnd(/[/.:]/.test(text) ? text : `shop/${text}`);
}

/** Every pair of ends, both protocols, both families. */
export function askAll(ends: readonly string[], families: readonly ('IPv4' | 'IPv6')[] = ['IPv4', 'IPv6']): Query[] {
  return ends.flatMap((from) =>
    ends.flatMap((to) =>
      ['8080/tcp', '8053/udp'].flatMap((port) => families.map((family) => ask(from, to, port, family))),
    ),
  );
}
