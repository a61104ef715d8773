/**
 * What every data plane must do: for each rule of the API's text one test by name, in which the oracle, the compiled
 * state and the data plane come to the verdict that was written by hand.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { NodeViews } from '../compile/node-views.ts';
import { type Expectation, questionsOfExpectation } from '../support/cases/case.ts';
import { semanticCases } from '../support/cases/semantic-cases.ts';
import { TestCluster } from '../support/kernel/cluster.ts';
import { enforce, journeyOf, type Site } from '../support/kernel/site.ts';
import { oracleFor, type Question } from '../support/oracle/oracle.ts';

export interface ConformanceOptions {
  readonly open: () => Promise<Site>;
  /** Cases that this data plane is known to judge otherwise, each with the reason. */
  readonly skip: ReadonlyMap<string, string>;
}

/** Call it inside of a `describe`. */
export function conformanceSuite({ open, skip }: ConformanceOptions): void {
  let site: Site | undefined;

  beforeAll(async () => {
    site = await open();
  });

  afterAll(() => site?.close());

  for (const { name, manifests, expectations } of semanticCases) {
    const reason = skip.get(name);
    const test = reason === undefined ? it : it.skip;
    test(reason === undefined ? name : `${name} [skipped: ${reason}]`, async () => {
      const oracle = oracleFor(manifests);
      const views = new NodeViews(manifests);
      const cluster = new TestCluster(manifests);
      await enforce(site as Site, cluster);
      const judges = {
        oracle: (question: Question) => {
          const answer = oracle.judge(question);
          return answer === 'no-address' ? undefined : answer.allowed;
        },
        compiled: (question: Question) => views.judge(question)?.allowed,
        dataplane: (question: Question) => {
          const journey = journeyOf(cluster, question);
          return journey && site?.send(journey) === 'delivered';
        },
      };
      const verdicts = expectations.map((each) => ({
        ...textOf(each),
        oracle: verdictBy(judges.oracle, each),
        compiled: verdictBy(judges.compiled, each),
        dataplane: verdictBy(judges.dataplane, each),
      }));
      expect(verdicts).toEqual(
        expectations.map((each) => {
          const { verdict } = each;
          return { ...textOf(each), oracle: verdict, compiled: verdict, dataplane: verdict };
        }),
      );
    });
  }

  it('skips no case that does not exist', () => {
    const names = new Set(semanticCases.map(({ name }) => name));
    expect([...skip.keys()].filter((name) => !names.has(name))).toEqual([]);
  });
}

/** All families that both ends have must agree, and there must be one. */
function verdictBy(judge: (question: Question) => boolean | undefined, expectation: Expectation): string {
  const answers = questionsOfExpectation(expectation).flatMap((question) => judge(question) ?? []);
  return [...new Set(answers.map((allowed) => (allowed ? 'allow' : 'deny')))].join(' and ') || 'no-address';
}

function textOf({ from, to, protocol, port, family, why }: Expectation) {
  return { question: `${from} to ${to} ${port ?? ''}/${protocol} ${family ?? ''}`, why };
}
