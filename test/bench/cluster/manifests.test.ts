/** What `selvedge bench --cluster` prints: who is there, under which policies, and where. */
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { clusterManifests, manifestsOf } from '../../../src/bench/cluster/manifests.ts';
import { CLUSTER_DEFAULTS, type ClusterOptions } from '../../../src/bench/cluster/options.ts';
import { objectOf } from '../../../src/bench/compare/world.ts';

interface Found {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  // biome-ignore lint/suspicious/noExplicitAny: whatever is in a manifest
  readonly spec: any;
}

function printed(options: Partial<ClusterOptions> = {}): Found[] {
  const text = [...clusterManifests({ ...CLUSTER_DEFAULTS, policies: 5, ...options })].join('');
  return parseAllDocuments(text).map((document) => document.toJS() as Found);
}

const ofKind = (found: readonly Found[], kind: string) => found.filter((one) => one.kind === kind);
const namesOf = (found: readonly Found[], kind: string) => ofKind(found, kind).map(({ metadata }) => metadata.name);
const containersOf = ({ spec }: Found) => spec.template.spec.containers;

describe('the manifests', () => {
  it('are a namespace, the policies, and then who is under them, so that they are in force before anything is measured', () => {
    const kinds = printed().map(({ kind }) => kind);
    expect([...new Set(kinds)]).toEqual(['Namespace', 'NetworkPolicy', 'Service', 'Deployment', 'Job']);
    expect(kinds.filter((kind) => kind === 'NetworkPolicy')).toHaveLength(5);
    expect([...manifestsOf({ ...CLUSTER_DEFAULTS, policies: 10_000 })]).toHaveLength(10_000 + 11);
  });

  it('are all in the namespace that is asked for, of the image that is asked for', () => {
    const found = printed({ namespace: 'elsewhere', image: 'registry.example:5000/selvedge:2' });
    expect(found[0]?.metadata).toMatchObject({ name: 'elsewhere' });
    expect(found.slice(1).every(({ metadata }) => metadata.namespace === 'elsewhere')).toBe(true);
    const images = found.flatMap((one) =>
      one.spec?.template ? containersOf(one).map(({ image }: { image: string }) => image) : [],
    );
    expect(new Set(images)).toEqual(new Set(['registry.example:5000/selvedge:2']));
  });

  it('hold policies that the project itself finds no fault with, of which the last alone admits the clients', () => {
    const policies = [...manifestsOf({ ...CLUSTER_DEFAULTS, policies: 400 })].filter(
      ({ kind }) => kind === 'NetworkPolicy',
    );
    for (const policy of policies) expect(() => objectOf(policy as never)).not.toThrow();
    const admitting = policies.filter((policy) => JSON.stringify(policy).includes('"bench.selvedge/role":"client"'));
    expect(admitting).toEqual([policies.at(-1)]);
    const peers = policies.slice(0, -1).map(({ spec }) => JSON.stringify((spec as { ingress: unknown }).ingress));
    expect(new Set(peers).size).toBe(399);
  });

  it.each([
    ['same', ['client-one-node-allowed', 'client-one-node-unselected']],
    ['other', ['client-two-nodes-allowed', 'client-two-nodes-unselected']],
  ] as const)('have clients on the %s node', (nodes, jobs) => {
    const found = printed({ nodes });
    expect(namesOf(found, 'Job')).toEqual(jobs);
    const kind = nodes === 'same' ? 'podAffinity' : 'podAntiAffinity';
    for (const { spec } of ofKind(found, 'Job')) expect(Object.keys(spec.template.spec.affinity)).toEqual([kind]);
  });

  it('have nobody who could be under a policy where there is none', () => {
    const found = printed({ policies: 0 });
    expect(namesOf(found, 'NetworkPolicy')).toEqual([]);
    expect(namesOf(found, 'Deployment')).toEqual(['turns', 'free-server']);
    expect(namesOf(found, 'Job')).toEqual(['client-one-node-unselected', 'client-two-nodes-unselected']);
  });
});
