/** The case table through what `explain --queries` does: manifests on disk and JSON lines in, JSON lines out. */
import { describe, expect, test } from 'vitest';
import { parseQuery } from '../../src/model/query.ts';
import { explain } from '../../src/observe/explanation.ts';
import { narrowed } from '../../src/observe/narrow.ts';
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
      const askable = expectations.filter(({ protocol }) => typeof protocol === 'string');
      const whole = new Reachability(objects);
      expect(answersOf(whole, askable)).toEqual(askable);
      // As an agent answers: worked out of what concerns the query, and the same to the letter.
      for (const { verdict, why, ...line } of askable) {
        const query = parseQuery(JSON.stringify(line));
        const { objects: kept, judged } = narrowed(objects, query);
        const few = new Reachability(kept, { judged });
        expect(explain(few, few.ask(query), PLAIN)).toBe(explain(whole, whole.ask(query), PLAIN));
      }
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
