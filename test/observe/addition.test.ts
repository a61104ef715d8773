/**
 * What explain offers to admit a denied query is true: on random worlds, applied as it is, it admits the query, isolates
 * nobody newly, and changes no verdict on another port (but for ICMP, which no port admits). SELVEDGE_WORLDS asks about more worlds, SELVEDGE_SEED repeats a run.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { additionsFor } from '../../src/observe/addition.ts';
import type { Reachability } from '../../src/observe/reachability.ts';
import { policy } from '../support/cases/case.ts';
import { pod } from '../support/cases/cast.ts';
import type { ClusterObject } from '../support/oracle/objects.ts';
import { oracleFor, type Question } from '../support/oracle/oracle.ts';
import { questionsOf } from '../support/worlds/questions.ts';
import { objectsOf, type World } from '../support/worlds/world.ts';
import { worldArbitrary } from '../support/worlds/world-arbitrary.ts';
import { queryOf, reachabilityOf } from './raw.ts';

const worlds = Number(process.env.SELVEDGE_WORLDS ?? 150);
const seed = process.env.SELVEDGE_SEED;
/** Denied queries of one world that are mended, and queries that are asked again after each. */
const MENDED = 12;
const ASKED_AGAIN = 40;

test('an addition admits its query and nothing beside it', { timeout: 120_000 + worlds * 200 }, () => {
  let mended = 0;
  fc.assert(
    fc.property(worldArbitrary, (world) => {
      mended += mendWorld(world);
    }),
    { numRuns: worlds, ...(seed !== undefined && { seed: Number(seed) }) },
  );
  expect(mended).toBeGreaterThan(worlds);
});

/** The number of queries that were denied and then admitted. */
function mendWorld(world: World): number {
  const objects = objectsOf(world);
  const before = reachabilityOf(objects);
  const questions = questionsOf(world, { atMost: 400 }).filter((question) => queryOf(question) !== undefined);
  const denied = questions.filter((question) => !asked(before, question).allowed).slice(0, MENDED);
  for (const question of denied) {
    const additions = additionsFor(before, asked(before, question));
    const after = [...objects, ...(additions as unknown as ClusterObject[])];
    const fault = mendFault(question, { before, after, questions: questions.slice(0, ASKED_AGAIN) });
    if (fault !== undefined) throw new Error(`${fault}: ${JSON.stringify({ question, additions })}`);
  }
  return denied.length;
}

function mendFault(
  question: Question,
  { before, after, questions }: { before: Reachability; after: ClusterObject[]; questions: readonly Question[] },
): string | undefined {
  const mended = reachabilityOf(after);
  if (!asked(mended, question).allowed) return 'still denied';
  const verdict = oracleFor(after).judge(question);
  if (verdict === 'no-address' || !verdict.allowed) return 'still denied, says the oracle';
  if (isolationOf(mended) !== isolationOf(before)) return 'isolates other pods';
  for (const other of questions) {
    const [old, now] = [asked(before, other).allowed, asked(mended, other).allowed];
    if (old === now) continue;
    const alike = other.port === question.port && other.protocol === question.protocol;
    if (old || (!alike && question.protocol !== 'ICMP')) {
      return `changes ${JSON.stringify(other)}`;
    }
  }
  return undefined;
}

function asked(reachability: Reachability, question: Question) {
  return reachability.ask(queryOf(question) as NonNullable<ReturnType<typeof queryOf>>);
}

function isolationOf({ state }: Reachability): string {
  const isolated = [...state.endpoints.values()].map(
    ({ pod, ingress, egress }) => `${pod} ${ingress !== undefined} ${egress !== undefined}`,
  );
  const awaited = [...state.awaited].map(([key, { isolated: is }]) => `${key} ${is}`);
  return [...isolated, ...awaited].sort().join('\n');
}

describe('an addition', () => {
  const spec = (objects: ClusterObject[], from: string, to: string, port = 80) => {
    const reachability = reachabilityOf(objects);
    const answer = reachability.ask(
      queryOf({ from, to, family: 'IPv4', protocol: 'TCP', port }) as NonNullable<ReturnType<typeof queryOf>>,
    );
    return additionsFor(reachability, answer);
  };
  const web = pod('shop/web', '1:11', { labels: { app: 'web', 'pod-template-hash': 'abc' } });
  const db = pod('shop/db', '1:12', { labels: { app: 'db' } });

  test('selects the pod by its lasting labels and admits the peer by its own', () => {
    const objects = [web, db, policy('shop/deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] })];
    expect(spec(objects, 'shop/web', 'shop/db')).toEqual([
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: 'web-to-db-80-tcp', namespace: 'shop' },
        spec: {
          podSelector: { matchLabels: { app: 'web' } },
          policyTypes: ['Egress'],
          egress: [{ to: [{ podSelector: { matchLabels: { app: 'db' } } }], ports: [{ protocol: 'TCP', port: 80 }] }],
        },
      },
      expect.objectContaining({ metadata: { name: 'db-from-web-80-tcp', namespace: 'shop' } }),
    ]);
  });

  test('selects as the isolating policy does where the labels are those of a pod that nothing isolates', () => {
    const other = pod('shop/other', '1:13', { labels: { app: 'db', tier: 'free' } });
    const podSelector = { matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' as const }] };
    expect(spec([web, db, other, policy('shop/deny', { podSelector })], 'shop/web', 'shop/db')).toEqual([
      expect.objectContaining({ spec: expect.objectContaining({ podSelector }) }),
    ]);
  });

  test('admits a peer without labels by its address, unless its namespace is all there is to mean', () => {
    const bare = pod('free/bare', '2:21');
    const second = pod('free/second', '2:22', { labels: { app: 'second' } });
    const deny = policy('shop/deny', { podSelector: {} });
    const peers = (objects: ClusterObject[]) => spec(objects, 'free/bare', 'shop/db').map((one) => one.spec);
    expect(peers([db, bare, second, deny])).toMatchObject([
      { ingress: [{ from: [{ ipBlock: { cidr: '10.244.1.21/32' } }] }] },
    ]);
    expect(peers([db, bare, deny])).toMatchObject([
      {
        ingress: [
          {
            from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'free' } }, podSelector: {} }],
          },
        ],
      },
    ]);
  });

  test('takes a name that no policy of the namespace has', () => {
    const named = policy('shop/db-from-web-80-tcp', { podSelector: {} });
    expect(spec([web, db, named], 'shop/web', 'shop/db').map(({ metadata }) => metadata.name)).toEqual([
      'db-from-web-80-tcp-2',
    ]);
  });

  test('is none where addresses are in conflict: no policy helps', () => {
    const twin = pod('shop/twin', '1:12');
    expect(spec([web, db, twin, policy('shop/deny', { podSelector: {} })], 'shop/web', 'shop/db')).toEqual([]);
  });
});
