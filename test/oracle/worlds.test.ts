/** Random worlds are worth asking about: valid, varied, balanced between allow and deny, and small once shrunk. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contains, parseAddress, parseBlock } from '../support/oracle/addresses.ts';
import { type Answer, type Oracle, oracleFor } from '../support/oracle/oracle.ts';
import { ALL_FEATURES, featuresOf } from '../support/worlds/features.ts';
import { type PairOfWorlds, pairOfWorlds } from '../support/worlds/pair-of-worlds.ts';
import { questionsOf, questionsOfBoth } from '../support/worlds/questions.ts';
import { objectsOf, type World } from '../support/worlds/world.ts';
import { worldArbitrary } from '../support/worlds/world-arbitrary.ts';

// A fixed seed: these tests are about the generators, and must not fail by chance.
const worlds = fc.sample(worldArbitrary, { seed: 20260, numRuns: 400 });
const pairs = fc.sample(pairOfWorlds, { seed: 20261, numRuns: 150 });

describe('random worlds', () => {
  it('contain every feature, each more than once', () => {
    const counts = new Map(ALL_FEATURES.map((feature) => [feature, 0]));
    for (const feature of worlds.flatMap(featuresOf)) counts.set(feature, (counts.get(feature) ?? 0) + 1);
    expect([...counts].filter(([, count]) => count < 2)).toEqual([]);
  });

  it('are balanced between allow and deny, also where a policy had the say', () => {
    const answers = worlds.flatMap((world) => answersIn(world, 300));
    const judged = answers.filter(isJudgedByPolicy);
    expect(shareAllowed(answers)).toBeGreaterThan(0.15);
    expect(shareAllowed(answers)).toBeLessThan(0.85);
    expect(judged.length / answers.length).toBeGreaterThan(0.25);
    expect(shareAllowed(judged)).toBeGreaterThan(0.15);
    expect(shareAllowed(judged)).toBeLessThan(0.85);
  });

  it('raise questions that all have a verdict, the same ones each time and never more than asked for', () => {
    for (const world of worlds) {
      const questions = questionsOf(world, { atMost: 100 });
      expect(questions.length).toBeLessThanOrEqual(100);
      expect(questionsOf(world, { atMost: 100 })).toEqual(questions);
      expect(new Set(questions.map((question) => JSON.stringify(question))).size).toBe(questions.length);
    }
    expect(worlds.flatMap((world) => answersIn(world, 100)).filter((answer) => answer === 'no-address')).toEqual([]);
  });

  it('hold what the API server accepts', () => {
    expect(worlds.flatMap(faultsOf)).toEqual([]);
    expect(pairs.flatMap(({ after }) => faultsOf(after))).toEqual([]);
  });

  it('shrink to the few objects that a failure needs', () => {
    const result = fc.check(
      fc.property(worldArbitrary, (world) => answersIn(world, 500).every((answer) => allowedIn(answer) !== false)),
      { seed: 20262 },
    );
    const [smallest] = result.counterexample ?? [];
    expect(smallest?.policies.length).toBe(1);
    expect(smallest?.pods.length).toBe(2);
    expect(smallest?.nodes.length).toBe(1);
  });
});

describe('pairs of worlds', () => {
  it('differ in verdicts, in both ways', () => {
    const turns = pairs.flatMap((pair) => turnsOf(pair, 200));
    expect(turns.filter((turn) => turn === 'opened').length / turns.length).toBeGreaterThan(0.02);
    expect(turns.filter((turn) => turn === 'closed').length / turns.length).toBeGreaterThan(0.02);
  });

  it('make every kind of change', () => {
    const kinds = new Set(pairs.flatMap(({ changes }) => changes.map(({ kind }) => kind)));
    expect(kinds.size).toBe(14);
  });

  it('include updates that open one direction and close the other of the same connection', () => {
    const crossed = pairs.some(({ before, after }) => {
      const [old, next] = [oracleFor(objectsOf(before)), oracleFor(objectsOf(after))];
      return questionsOfBoth(before, after, { atMost: 200 }).some((question) => {
        const [was, is] = [old.judge(question), next.judge(question)];
        if (was === 'no-address' || is === 'no-address') return false;
        return (
          was.ingress.allowed !== is.ingress.allowed &&
          was.ingress.allowed === is.egress.allowed &&
          was.egress.allowed !== is.egress.allowed
        );
      });
    });
    expect(crossed).toBe(true);
  });
});

function answersIn(world: World, atMost: number): Answer[] {
  const oracle = oracleFor(objectsOf(world));
  return questionsOf(world, { atMost }).map((question) => oracle.judge(question));
}

function allowedIn(answer: Answer): boolean | undefined {
  return answer === 'no-address' ? undefined : answer.allowed;
}

function shareAllowed(answers: readonly Answer[]): number {
  return answers.filter((answer) => allowedIn(answer) === true).length / answers.length;
}

function isJudgedByPolicy(answer: Answer): boolean {
  if (answer === 'no-address' || answer.exempt !== undefined) return false;
  return answer.ingress.isolatedBy.length + answer.egress.isolatedBy.length > 0;
}

function turnsOf({ before, after }: PairOfWorlds, atMost: number): string[] {
  const [old, next]: [Oracle, Oracle] = [oracleFor(objectsOf(before)), oracleFor(objectsOf(after))];
  return questionsOfBoth(before, after, { atMost }).map((question) => {
    const [was, is] = [allowedIn(old.judge(question)), allowedIn(next.judge(question))];
    if (was === undefined || is === undefined || was === is) return 'same';
    return is ? 'opened' : 'closed';
  });
}

/** What the API server would refuse, or a cluster could not have. */
function faultsOf(world: World): string[] {
  const names = objectsOf(world).map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`);
  const doubled = names.filter((name, index) => names.indexOf(name) !== index);
  const rules = world.policies.flatMap(({ spec }) => [
    ...(spec?.ingress ?? []).map(({ ports, from }) => ({ ports, peers: from })),
    ...(spec?.egress ?? []).map(({ ports, to }) => ({ ports, peers: to })),
  ]);
  const ranges = rules
    .flatMap(({ ports }) => ports ?? [])
    .filter(({ port, endPort }) => endPort != null && (typeof port !== 'number' || endPort < port));
  const excepts = rules
    .flatMap(({ peers }) => peers ?? [])
    .flatMap(({ ipBlock }) => (ipBlock?.except ?? []).map((except) => ({ cidr: ipBlock?.cidr ?? '', except })))
    .filter(({ cidr, except }) => {
      const [outer, inner] = [parseBlock(cidr), parseBlock(except)];
      return !contains(outer, parseAddress(except.split('/')[0] ?? '')) || inner.prefixLength <= outer.prefixLength;
    });
  return [...doubled, ...[...ranges, ...excepts].map((fault) => JSON.stringify(fault))];
}
