/** Random worlds: up to three nodes, a dozen pods and up to eight policies that have something to do with each other. */
import fc from 'fast-check';
import type { Namespace, Node } from '../oracle/objects.ts';
import { namespaceLabels } from './labels.ts';
import { externalAddress, FIRST_ADDED_SLOT, nodeAddress, nodeName } from './places.ts';
import { podFrom, podSketch } from './pods.ts';
import { policyNamed, policyNamespace, policySpec } from './policies.ts';
import { NAMESPACES, type World } from './world.ts';

/** Labels of the namespace's object; null: it has none, though pods may live in it. */
const namespaces = fc.tuple(
  ...NAMESPACES.map((name) =>
    fc.option(namespaceLabels, { freq: 8 }).map((labels) => (labels === null ? [] : [namespaceNamed(name, labels)])),
  ),
);

/** Shrinks to fewer and plainer objects; addresses stay with the pods that remain. */
export const worldArbitrary: fc.Arbitrary<World> = fc
  .record({
    namespaces,
    nodeCount: fc.integer({ min: 1, max: 3 }),
    pods: fc.uniqueArray(podSketch({ from: 0, to: FIRST_ADDED_SLOT - 1 }), {
      minLength: 2,
      maxLength: 12,
      selector: ({ slot }) => slot,
    }),
    policies: fc.array(fc.tuple(policyNamespace, policySpec), { maxLength: 8 }),
  })
  .map(({ namespaces: present, nodeCount, pods, policies }) => ({
    namespaces: present.flat(),
    nodes: Array.from({ length: nodeCount }, (_, index) => nodeAt(index)),
    pods: pods.map((sketch) => podFrom(sketch, nodeCount)),
    policies: policies.map(([namespace, spec], index) => policyNamed(`policy${index}`, namespace, spec)),
  }));

export function namespaceNamed(name: string, labels: Record<string, string>): Namespace {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

function nodeAt(index: number): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: nodeName(index) },
    spec: { podCIDRs: [`10.244.${index}.0/24`, `fd00:10:244:${index}::/64`] },
    status: {
      addresses: [
        { type: 'Hostname', address: nodeName(index) },
        { type: 'InternalIP', address: nodeAddress(index, 'IPv4') },
        { type: 'InternalIP', address: nodeAddress(index, 'IPv6') },
        ...(index === 1 ? [{ type: 'ExternalIP', address: externalAddress(index) }] : []),
      ],
    },
  };
}
