/**
 * Real connections between the pods of a lab: the usual policies of a shop step by step, and cases of the table, all as
 * the oracle says. SELVEDGE_REAL_CASES=1000 probes every case whose pods are the usual cast.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseEnd, type Query } from '../../src/model/query.ts';
import { policy, questionsOfExpectation } from '../support/cases/case.ts';
import { cast } from '../support/cases/cast.ts';
import { semanticCases } from '../support/cases/semantic-cases.ts';
import { RealCluster } from '../support/kernel/real-cluster.ts';
import type { ClusterObject } from '../support/oracle/objects.ts';
import { oracleFor, type Question } from '../support/oracle/oracle.ts';
import { describeAsRoot } from '../support/privilege.ts';

const PODS = ['shop/web', 'shop/api', 'shop/db', 'audit/scan', 'audit/web'];
const FAMILIES = ['IPv4', 'IPv6'] as const;
const cases = Number(process.env.SELVEDGE_REAL_CASES ?? 6);

const only = (app: string) => ({ matchLabels: { app } });
const allow = (client: string, server: string, port: number) => [
  policy(`shop/${client}-out`, {
    podSelector: only(client),
    policyTypes: ['Egress'],
    egress: [{ to: [{ podSelector: only(server) }], ports: [{ port }] }],
  }),
  policy(`shop/${server}-in`, {
    podSelector: only(server),
    ingress: [{ from: [{ podSelector: only(client) }], ports: [{ port }] }],
  }),
];

const denyAll = policy('shop/deny-all', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
const STEPS: readonly { name: string; policies: readonly ClusterObject[] }[] = [
  { name: 'no policy', policies: [] },
  { name: 'default-deny-all', policies: [denyAll] },
  { name: 'web to api on 8080', policies: [denyAll, ...allow('web', 'api', 8080)] },
  {
    name: 'api to database on 5432',
    policies: [denyAll, ...allow('web', 'api', 8080), ...allow('api', 'db', 5432)],
  },
];

describeAsRoot('real connections', () => {
  let cluster: RealCluster;

  beforeAll(async () => {
    cluster = await RealCluster.start(cast);
  });

  afterAll(() => cluster?.close());

  for (const { name, policies } of STEPS) {
    it(`go where the shop’s policies let them: ${name}`, async () => {
      const questions = PODS.flatMap((from) =>
        PODS.filter((to) => to !== from).flatMap((to) =>
          FAMILIES.flatMap((family): Question[] => [
            { from, to, family, protocol: 'TCP', port: 8080 },
            { from, to, family, protocol: 'TCP', port: 5432 },
            { from, to, family, protocol: 'UDP', port: 8080 },
          ]),
        ),
      );
      await compare(cluster, [...cast, ...policies], questions);
    });
  }

  for (const { name, manifests, expectations } of everyFew(semanticCases.filter(isPlayable), cases)) {
    it(`go where the case says: ${name}`, async () => {
      const questions = expectations.flatMap(questionsOfExpectation);
      await compare(cluster, manifests, questions.filter(isProbed));
    });
  }
});

async function compare(cluster: RealCluster, objects: readonly ClusterObject[], questions: readonly Question[]) {
  await cluster.update(objects);
  const oracle = oracleFor(objects);
  const asked = questions.filter((question) => oracle.judge(question) !== 'no-address');
  const outcomes = await cluster.lab.probeAll(asked.map(queryOf));
  const expected = asked.map((question) => {
    const answer = oracle.judge(question);
    return { ...question, verdict: answer !== 'no-address' && answer.allowed ? 'allow' : 'deny' };
  });
  expect(asked.map((question, index) => ({ ...question, verdict: outcomes[index]?.verdict }))).toEqual(expected);
}

/** Cases whose pods are the cast's: only policies and labels differ from the lab's cluster. */
function isPlayable({ manifests, expectations }: (typeof semanticCases)[number]): boolean {
  const pods = manifests.filter(({ kind }) => kind === 'Pod' || kind === 'Node');
  const own = cast.filter(({ kind }) => kind === 'Pod' || kind === 'Node');
  return pods.length === own.length && pods.every((pod) => own.includes(pod)) && expectations.some(isProbed);
}

function isProbed({ protocol, from, to }: Pick<Question, 'protocol' | 'from' | 'to'>): boolean {
  return (protocol === 'TCP' || protocol === 'UDP' || protocol === 'SCTP') && from !== to;
}

function queryOf({ from, to, family, protocol, port = 0 }: Question): Query {
  return { from: parseEnd(from), to: parseEnd(to), family, port, protocol: protocol as Query['protocol'] };
}

function everyFew<T>(items: readonly T[], wanted: number): T[] {
  const step = Math.max(1, Math.floor(items.length / wanted));
  return items.filter((_, index) => index % step === 0).slice(0, wanted);
}
