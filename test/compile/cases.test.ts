/** The compiled state gives the verdicts of the case table. */
import { describe, expect, it } from 'vitest';
import { type Expectation, questionsOfExpectation } from '../support/cases/case.ts';
import { semanticCases } from '../support/cases/semantic-cases.ts';
import { NodeViews } from './node-views.ts';

describe('the compiled state', () => {
  for (const { name, manifests, expectations } of semanticCases) {
    it(name, () => {
      const views = new NodeViews(manifests);
      const verdicts = expectations.map((each) => ({ ...each, verdict: verdictOf(views, each) }));
      expect(verdicts).toEqual(expectations);
    });
  }
});

/** All families that both ends have must agree, and there must be one. */
function verdictOf(views: NodeViews, expectation: Expectation): string {
  const answers = questionsOfExpectation(expectation).flatMap((question) => views.judge(question) ?? []);
  return [...new Set(answers.map(({ allowed }) => (allowed ? 'allow' : 'deny')))].join(' and ') || 'no-address';
}
