/** The oracle agrees with every verdict that was written by hand. */
import { describe, expect, it } from 'vitest';
import { type Expectation, questionsOfExpectation } from '../support/cases/case.ts';
import { semanticCases } from '../support/cases/semantic-cases.ts';
import { type Oracle, oracleFor } from '../support/oracle/oracle.ts';

describe('the case table', () => {
  it('names each case once', () => {
    const names = semanticCases.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
  });

  it('has about as many denials as admissions', () => {
    const verdicts = semanticCases.flatMap(({ expectations }) => expectations.map(({ verdict }) => verdict));
    const denied = verdicts.filter((verdict) => verdict === 'deny').length / verdicts.length;
    expect(denied).toBeGreaterThan(0.3);
    expect(denied).toBeLessThan(0.7);
  });
});

describe('the oracle', () => {
  for (const { name, manifests, expectations } of semanticCases) {
    it(name, () => {
      const oracle = oracleFor(manifests);
      const verdicts = expectations.map((each) => sentence(each, verdictOf(oracle, each)));
      expect(verdicts).toEqual(expectations.map((each) => sentence(each, each.verdict)));
    });
  }
});

/** All families that both ends have must agree, and there must be one. */
function verdictOf(oracle: Oracle, expectation: Expectation): string {
  const answers = questionsOfExpectation(expectation).map((question) => oracle.judge(question));
  const verdicts = answers.flatMap((answer) => (answer === 'no-address' ? [] : [answer.allowed ? 'allow' : 'deny']));
  return verdicts.length === 0 ? 'no-address' : [...new Set(verdicts)].join(' and ');
}

function sentence({ from, to, protocol, port, why }: Expectation, verdict: string): string {
  return `${from} to ${to} ${port ?? ''}/${protocol}: ${verdict} (${why})`;
}
