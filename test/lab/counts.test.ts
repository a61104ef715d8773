/** What the kernel counted, as the demo says it: of pods where programs count, of policies where rules do. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { formatCounts } from '../../src/lab/agents/format-counts.ts';
import { readRuleCounts } from '../../src/lab/agents/rule-counts.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import type { VerdictCount } from '../../src/model/verdict-event.ts';
import { EnforcedNode } from '../dataplane/ipset/support/enforced-node.ts';
import { policy } from '../support/cases/case.ts';
import { cast } from '../support/cases/cast.ts';
import type { Question } from '../support/oracle/oracle.ts';
import { describeAsRoot } from '../support/privilege.ts';

const rule = { policy: 'shop/web' as ObjectKey, direction: 'ingress', index: 0 } as const;
const of = (more: Partial<VerdictCount>): VerdictCount => {
  return { ifindex: 0, direction: 'ingress', reason: 'drop-policy', policies: [], packets: 1n, bytes: 60n, ...more };
};

it('tells of pods and rules only what came since the reading before', () => {
  const pod = 'shop/web' as ObjectKey;
  const before = [of({ ifindex: 7, pod, packets: 5n })];
  const now = [
    of({ ifindex: 7, pod, packets: 9n }),
    of({ ifindex: 7, pod, reason: 'allow-rule', rule, packets: 2n }),
    of({ ifindex: 8, packets: 4n }),
  ];
  expect(formatCounts(now, before, false).split('\n')).toEqual([
    '  the kernel saw     admitted   dropped in  dropped out',
    '  shop/web                  2            4            0',
    '  admitted by shop/web ingress rule 1: 2',
  ]);
});

it('tells of policies what is counted by rules, of both sides and families together, also after they were written anew', () => {
  const policies = ['shop/deny', 'shop/web'] as ObjectKey[];
  const before = [of({ policies, packets: 3n }), of({ policies, packets: 4n })];
  const now = [of({ policies, packets: 2n }), of({ reason: 'allow-rule', rule, packets: 6n })];
  expect(formatCounts(now, before, false).split('\n')).toEqual([
    '  the kernel saw',
    '  dropped by shop/deny, shop/web (ingress): 2',
    '  admitted by shop/web ingress rule 1: 6',
  ]);
});

describeAsRoot('the counts of rules', () => {
  let node: EnforcedNode;

  beforeEach(async () => {
    node = await EnforcedNode.open('counts', { variant: 'nft', nflogGroup: 9 });
  });

  afterEach(() => node?.close());

  it('bear the names of policies and rules', async () => {
    const web = { podSelector: { matchLabels: { app: 'api' } } };
    const isolated = policy('shop/api', { ...web, ingress: [{ from: [{ podSelector: {} }] }] });
    const egress = policy('audit/all', { podSelector: {}, policyTypes: ['Egress'], egress: [] });
    await node.apply([...cast, isolated]);
    const question: Question = { from: 'shop/web', to: 'shop/api', family: 'IPv4', protocol: 'TCP', port: 80 };
    expect(node.passes(question)).toBe(true);
    expect(node.passes({ ...question, from: 'audit/web' })).toBe(false);
    expect(node.passes({ ...question, from: 'audit/web', family: 'IPv6' })).toBe(false);
    const text = formatCounts(await readRuleCounts(node.namespace), [], false);
    expect(text.split('\n')).toEqual([
      '  the kernel saw',
      '  dropped by shop/api (ingress): 2',
      '  admitted by shop/api ingress rule 1: 1',
    ]);
    await node.apply([...cast, egress]);
    expect(node.passes({ ...question, from: 'audit/web' })).toBe(false);
    expect(formatCounts(await readRuleCounts(node.namespace), [], false)).toContain('dropped by audit/all (egress): 1');
  });
});
