// The metrics page, and everything that names metrics: the docs' table, the dashboard, the alert rules.
import { readFileSync } from 'node:fs';
import { of } from 'rxjs';
import { expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import type { AgentView } from '../../../src/api/agent-view.ts';
import type { Observation } from '../../../src/dataplane/contract.ts';
import { MemoryDataplane } from '../../../src/dataplane/memory/memory-dataplane.ts';
import type { ObjectKey } from '../../../src/model/cluster.ts';
import type { VerdictCount } from '../../../src/model/verdict-event.ts';
import { Hearing } from '../../../src/observe/hearing.ts';
import { Metrics } from '../../../src/observe/metrics/metrics.ts';
import { Timings } from '../../../src/observe/timings.ts';
import { askedBy } from './expressions.ts';

const POD = 'shop/web' as ObjectKey;
const POLICIES = ['shop/deny', 'shop/web'] as ObjectKey[];

const COUNTS: VerdictCount[] = [
  { ifindex: 3, pod: POD, direction: 'ingress', reason: 'drop-policy', policies: POLICIES, packets: 4n, bytes: 400n },
  { ifindex: 3, pod: POD, direction: 'ingress', reason: 'drop-source', policies: [], packets: 2n, bytes: 80n },
  ...[0, 1].map((index): VerdictCount => {
    const rule = { policy: POLICIES[1] as ObjectKey, direction: 'ingress', index } as const;
    return {
      ifindex: 3,
      pod: POD,
      direction: 'ingress',
      reason: 'allow-rule',
      rule,
      policies: [],
      packets: 5n,
      bytes: 1n,
    };
  }),
];

function metricsOf(
  counts: readonly VerdictCount[],
  detail = false,
): { metrics: Metrics; timings: Timings; asked: () => number } {
  let asked = 0;
  const observation: Observation = {
    verdicts: of(),
    counts: async () => {
      asked++;
      return counts;
    },
    losses: async () => ({ event: 7, limited: 9, counter: 0, flow: 0, fragment: 0 }),
    fill: async () => [{ name: 'policy', entries: 12, capacity: 100 }],
    verify: async () => ({ generation: 1, compared: 0, differences: [] }),
  };
  const timings = new Timings();
  const view: AgentView = {
    node: 'node1',
    startedAt: new Date(0),
    dataplane: Object.assign(new MemoryDataplane(), { observation }),
    names: { nameOf: () => ({}) },
    timings,
    inForce: undefined,
    change: { synced: true, warnings: [] },
    faults: () => ['not yet'],
    unprotected: () => [{ reason: 'a sysctl is off', pods: [POD] }],
    since: () => undefined,
    policy: () => undefined,
    objects: () => [],
  };
  let now = 0;
  const hearing = new Hearing(() => now);
  hearing.note('Pod');
  now = 1_500;
  const metrics = new Metrics(view, { version: '1.2.3', reason: 'it was asked for', hearing, detail });
  onTestFinished(() => metrics.close());
  return { metrics, timings, asked: () => asked };
}

async function lines(metrics: Metrics): Promise<string[]> {
  return (await metrics.text()).split('\n');
}

it('count drops for every policy that isolates, and admissions for the one that admits', async () => {
  const page = await lines(metricsOf(COUNTS).metrics);
  const labels = 'direction="ingress"';
  expect(page).toContain(`selvedge_policy_verdicts_total{policy="shop/deny",${labels},verdict="deny"} 4`);
  expect(page).toContain(`selvedge_policy_verdicts_total{policy="shop/web",${labels},verdict="deny"} 4`);
  expect(page).toContain(`selvedge_policy_verdicts_total{policy="shop/web",${labels},verdict="allow"} 10`);
  expect(page).toContain(`selvedge_verdicts_total{pod="shop/web",${labels},verdict="deny",reason="drop-source"} 2`);
  expect(page).toContain(`selvedge_verdicts_total{pod="shop/web",${labels},verdict="allow",reason="allow-rule"} 10`);
});

it('count by rule where that is asked for', async () => {
  const page = await lines(metricsOf(COUNTS, true).metrics);
  for (const rule of ['spec.ingress[0]', 'spec.ingress[1]']) {
    expect(page).toContain(
      `selvedge_policy_verdicts_total{policy="shop/web",direction="ingress",verdict="allow",rule="${rule}"} 5`,
    );
  }
});

it('say the state of the agent', async () => {
  const page = await lines(metricsOf([]).metrics);
  expect(page).toContain('selvedge_ready 0');
  expect(page).toContain('selvedge_unprotected_pods 1');
  expect(page).toContain('selvedge_lost_total{what="event"} 7');
  expect(page).toContain('selvedge_lost_total{what="limited"} 9');
  expect(page).toContain('selvedge_source_silence_seconds{kind="Pod"} 1.5');
  expect(page).toContain('selvedge_map_entries{map="policy"} 12');
  expect(page).toContain('selvedge_dataplane_info{kind="memory",reason="it was asked for"} 1');
});

it('sort times into buckets from a millisecond on', async () => {
  const { metrics, timings } = metricsOf([]);
  timings.next({ what: 'update', milliseconds: 0.8, writes: 3 });
  timings.next({ what: 'update', milliseconds: 30, writes: 4 });
  timings.next({ what: 'failure', of: 'apply' });
  const page = await lines(metrics);
  expect(page).toContain('selvedge_update_seconds_bucket{le="0.001"} 1');
  expect(page).toContain('selvedge_update_seconds_bucket{le="0.025"} 1');
  expect(page).toContain('selvedge_update_seconds_bucket{le="0.05"} 2');
  expect(page).toContain('selvedge_dataplane_writes_total 7');
  expect(page).toContain('selvedge_failures_total{step="apply"} 1');
});

it('read the kernel once for scrapers that come at once', async () => {
  const { metrics, asked } = metricsOf(COUNTS);
  const pages = await Promise.all([metrics.text(), metrics.text(), metrics.text()]);
  expect(new Set(pages).size).toBe(1);
  expect(asked()).toBe(1);
});

/** Type and labels of each of our metrics, as the page and the code have them. */
async function defined(): Promise<Map<string, { type: string; labels: readonly string[] }>> {
  const { metrics } = metricsOf(COUNTS);
  const page = await metrics.text();
  const types = [...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
  return new Map(types.map(([, name = '', type = '']) => [name, { type, labels: metrics.labelsOf(name) }]));
}

it('stand in the docs, all of them, with type and labels', async () => {
  const text = readFileSync('docs/metrics.md', 'utf8');
  const rows = [...text.matchAll(/^\| `(selvedge_\w+)` \| (\w+) \| ([^|]*)\|/gm)];
  const documented = rows.map(([, name = '', type = '', labels = '']) => {
    return `${name} ${type} ${[...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label).join(',')}`;
  });
  const ours = [...(await defined())].filter(([name]) => name.startsWith('selvedge_'));
  expect(documented.sort()).toEqual(
    ours.map(([name, { type, labels }]) => `${name} ${type} ${labels.join(',')}`).sort(),
  );
});

/** Labels that Prometheus itself gives to what it scrapes, and those of buckets. */
const GIVEN = ['instance', 'job', 'le'];

async function unknownIn(expressions: readonly string[]): Promise<string[]> {
  const known = await defined();
  return expressions.flatMap(askedBy).flatMap(({ metric, labels }) => {
    const histogram = metric.replace(/_(bucket|count|sum)$/, '');
    const found = known.get(metric) ?? (known.get(histogram)?.type === 'histogram' ? known.get(histogram) : undefined);
    if (found === undefined) return [metric];
    return labels.filter((label) => ![...found.labels, ...GIVEN].includes(label)).map((label) => `${metric}{${label}}`);
  });
}

it('are all that the alert rules use', async () => {
  const { groups } = parse(readFileSync('deploy/alerts/selvedge.yaml', 'utf8')) as {
    groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);
  expect(rules.length).toBeGreaterThan(5);
  for (const { annotations } of rules) expect(Object.keys(annotations).sort()).toEqual(['description', 'summary']);
  expect(await unknownIn(rules.map(({ expr }) => expr))).toEqual([]);
});

it('are all that the dashboard uses', async () => {
  const { panels } = JSON.parse(readFileSync('deploy/dashboard/selvedge.json', 'utf8')) as {
    panels: { id: number; title: string; targets?: { expr: string }[] }[];
  };
  const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  expect(expressions.length).toBeGreaterThan(15);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  expect(await unknownIn(expressions)).toEqual([]);
});

it('are missed where an expression names others, or is none', async () => {
  expect(await unknownIn(['rate(selvedge_verdict_total[5m])', 'selvedge_ready{pod="a"}'])).toEqual([
    'selvedge_verdict_total',
    'selvedge_ready{pod}',
  ]);
  await expect(unknownIn(['sum(rate(selvedge_ready[5m])'])).rejects.toThrow('not PromQL');
});
