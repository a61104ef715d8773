/** An update is overlooked only when nothing of it matters: each field, changed alone, makes another object. */
import { expect, test } from 'vitest';
import { samePod, samePolicy } from '../../src/compile/same.ts';
import type { Address } from '../../src/model/address.ts';
import type { NetworkPolicy, Pod } from '../../src/model/cluster.ts';
import { block, named, pod, pods, policy, rule, selector, tcp } from './build.ts';

const port = { name: 'http', protocol: 'TCP', port: 80 } as const;
const web = pod('shop/web', '10.0.0.1', { ports: [port] });
const { node: _, ...unbound } = web;

const otherPods: Record<string, Pod> = {
  'a label more': { ...web, labels: { ...web.labels, tier: 'front' } },
  'no label': { ...web, labels: {} },
  'another value of a label': { ...web, labels: { app: 'api' } },
  'another key of a label': { ...web, labels: { tier: 'web' } },
  'another node': { ...web, node: 'there' },
  'no node': unbound,
  'another address': { ...web, addresses: ['10.0.0.2' as Address] },
  'one address more': { ...web, addresses: [...web.addresses, 'fd00::1' as Address] },
  'no address': { ...web, addresses: [] },
  'the node’s network': { ...web, hostNetwork: true },
  finished: { ...web, finished: true },
  'another port number': { ...web, ports: [{ ...port, port: 81 }] },
  'another port name': { ...web, ports: [{ ...port, name: 'web' }] },
  'another protocol': { ...web, ports: [{ ...port, protocol: 'UDP' }] },
  'a port less': { ...web, ports: [] },
};

const admit = policy('shop/in', {
  ingress: [rule([pods({ app: 'web' }), block('10.0.0.0/8', '10.1.0.0/16')], [tcp(80)])],
});

const otherPolicies: Record<string, NetworkPolicy> = {
  'another podSelector': { ...admit, podSelector: selector({ app: 'api' }) },
  'another direction': { ...admit, policyTypes: ['egress'] },
  'one direction more': { ...admit, policyTypes: ['ingress', 'egress'] },
  'no rule': { ...admit, ingress: [] },
  'a rule more': { ...admit, ingress: [...admit.ingress, rule([])] },
  'the rule in the other direction': { ...admit, ingress: [], egress: admit.ingress },
  'another port': { ...admit, ingress: [rule(admit.ingress[0]?.peers ?? [], [tcp(80, 81)])] },
  'a named port': { ...admit, ingress: [rule(admit.ingress[0]?.peers ?? [], [named('http')])] },
  'a peer less': { ...admit, ingress: [rule([pods({ app: 'web' })], [tcp(80)])] },
  'another except': { ...admit, ingress: [rule([pods({ app: 'web' }), block('10.0.0.0/8')], [tcp(80)])] },
};

test.each(Object.entries(otherPods))('a pod with %s is another', (_, other) => {
  expect(samePod(web, other)).toBe(false);
  expect(samePod(other, web)).toBe(false);
});

test.each(Object.entries(otherPolicies))('a policy with %s is another', (_, other) => {
  expect(samePolicy(admit, other)).toBe(false);
});

test('where an object stands in a file, and in which order labels come, makes no difference', () => {
  const origin = { file: 'shop.yaml', document: 1, line: 9 };
  const labels = { app: 'web', tier: 'front' };
  expect(samePod({ ...web, labels, origin }, { ...structuredClone(web), labels: { tier: 'front', app: 'web' } })).toBe(
    true,
  );
  const moved = { ...admit, origin, ingress: admit.ingress.map((each) => ({ ...each, line: 12 })) };
  expect(samePolicy(admit, structuredClone(moved))).toBe(true);
});
