/** The case table through what `explain --queries` does: manifests on disk and JSON lines in, JSON lines out. */
import { describe, expect, test } from 'vitest';
import { answersTo, parseQueryLines } from '../../src/observe/query-lines.ts';
import { Reachability } from '../../src/observe/reachability.ts';
import { readManifests } from '../../src/sources/directory/directory-source.ts';
import type { Expectation } from '../support/cases/case.ts';
import { semanticCases } from '../support/cases/semantic-cases.ts';
import { folderWith, manifestText } from './command.ts';

describe('explain --queries', () => {
  for (const { name, manifests, expectations } of semanticCases) {
    test(name, async () => {
      const { objects, synced } = await readManifests([folderWith({ 'case.yaml': manifestText(manifests) })]);
      expect(synced).toBe(true);
      const askable = expectations.filter(({ port }) => port !== undefined);
      expect(answersOf(new Reachability(objects), askable)).toEqual(askable);
    });
  }
});

/** Each expectation with the verdict that was given. */
function answersOf(reachability: Reachability, expectations: readonly Expectation[]): object[] {
  const asked = parseQueryLines(expectations.map(({ verdict, why, ...query }) => JSON.stringify(query)).join('\n'));
  const onFault = (message: string) => {
    throw new Error(message);
  };
  const lines = answersTo(asked, reachability, { format: 'jsonl', emphasis: PLAIN, onFault });
  return [...lines].map((line, index) => ({ ...expectations[index], verdict: JSON.parse(line).verdict }));
}

const PLAIN = { allowed: (text: string) => text, denied: (text: string) => text };
