/** What the ipset data plane tells of packets and of itself, in the same words as BPF does. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { VerdictEvent } from '../../../src/model/verdict-event.ts';
import { policy } from '../../support/cases/case.ts';
import { cast } from '../../support/cases/cast.ts';
import type { Question } from '../../support/oracle/oracle.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { EnforcedNode } from './support/enforced-node.ts';

const isolated = policy('shop/api', {
  podSelector: { matchLabels: { app: 'api' } },
  ingress: [{ from: [{ podSelector: {} }, { ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.128/25'] } }] }],
});
const ADMITTED: Question = { from: 'shop/web', to: 'shop/api', family: 'IPv4', protocol: 'TCP', port: 80 };
const DENIED: Question = { ...ADMITTED, from: 'audit/web' };

describeAsRoot('the observation of the ipset data plane', () => {
  let node: EnforcedNode;

  beforeEach(async () => {
    node = await EnforcedNode.open('observed', { variant: 'nft', nflogGroup: 11 });
    await node.apply([...cast, isolated]);
  });

  afterEach(() => node?.close());

  it('tells drops to whoever listens, and counts them with what was admitted', async () => {
    const { observation } = node.dataplane;
    const told = new Promise<VerdictEvent>((resolve) => observation.verdicts.subscribe(resolve));
    expect([node.passes(DENIED), node.passes(ADMITTED)]).toEqual([false, true]);
    expect(await told).toMatchObject({ pod: 'shop/api', reason: 'drop-policy', policies: ['shop/api'] });
    expect(await observation.counts()).toEqual([
      {
        ifindex: 0,
        direction: 'ingress',
        reason: 'allow-rule',
        rule: { policy: 'shop/api', direction: 'ingress', index: 0 },
        policies: [],
        packets: 1n,
        bytes: expect.any(BigInt),
      },
      {
        ifindex: 0,
        direction: 'ingress',
        reason: 'drop-policy',
        policies: ['shop/api'],
        packets: 1n,
        bytes: expect.any(BigInt),
      },
    ]);
    expect(await observation.losses()).toEqual({ event: 0, limited: 0, counter: 0, flow: 0, fragment: 0 });
  });

  it('says how full the fullest set of each kind is, by names that stay whatever sets there are', async () => {
    const fill = await node.dataplane.observation.fill();
    await node.apply([...cast, isolated, policy('shop/all', { podSelector: {}, policyTypes: ['Egress'] })]);
    const later = await node.dataplane.observation.fill();
    expect(fill.map(({ name }) => name)).toEqual(['egress4', 'egress6', 'ingress4', 'ingress6', 'sets4', 'sets6']);
    expect(later.map(({ name }) => name)).toEqual(fill.map(({ name }) => name));
    expect(fill.find(({ name }) => name === 'ingress4')?.entries).toBe(1);
    expect(fill.find(({ name }) => name === 'sets4')?.entries).toBeGreaterThan(1);
    expect(later.find(({ name }) => name === 'egress4')?.entries).toBeGreaterThan(1);
  });
});
