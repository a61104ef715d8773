/** Queries as JSON lines → answers as text, JSON or JSON lines, in the order asked; each repeats the fields of its query. */
import { type AnyQuery, parseQuery, QueryError } from '../model/query.ts';
import { additionsFor } from './addition.ts';
import { answerRecord } from './answer-record.ts';
import { type Emphasis, explain } from './explanation.ts';
import type { Answer, Reachability } from './reachability.ts';

export type AnswerFormat = 'text' | 'json' | 'jsonl';

/** A query and the fields that its answer repeats. */
export interface Asked {
  readonly query: AnyQuery;
  readonly fields: object;
}

export interface AnswerOptions {
  readonly format: AnswerFormat;
  readonly emphasis: Emphasis;
  /** Told of each query that cannot be answered; its answer has an `error` and no verdict. */
  readonly onFault: (message: string, asked: Asked) => void;
}

/** @throws {QueryError} naming the line */
export function parseQueryLines(text: string): Asked[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    try {
      const query = parseQuery(line);
      // As it was asked, with fields that are the asker's own and addresses in their spelling.
      return [{ query, fields: { ...(JSON.parse(line) as object), protocol: query.protocol } }];
    } catch (cause) {
      if (!(cause instanceof QueryError)) throw cause;
      throw new QueryError(`line ${index + 1}: ${cause.message}`, { cause });
    }
  });
}

export function* answersTo(
  asked: readonly Asked[],
  reachability: Reachability,
  { format, emphasis, onFault }: AnswerOptions,
): Generator<string> {
  for (const one of asked) {
    let answer: Answer;
    try {
      answer = reachability.ask(one.query);
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      onFault(error.message, one);
      yield format === 'text' ? `error: ${error.message}` : JSON.stringify({ ...one.fields, error: error.message });
      continue;
    }
    if (format === 'text') yield explain(reachability, answer, emphasis);
    else yield recordText(reachability, answer, { fields: one.fields, long: format === 'json' });
  }
}

/** Lines are for many queries: there, what would admit a denied one is left out. */
function recordText(
  reachability: Reachability,
  answer: Answer,
  { fields, long }: { fields: object; long: boolean },
): string {
  const record = { ...fields, ...answerRecord(reachability, answer) };
  if (!long) return JSON.stringify(record);
  return JSON.stringify({ ...record, additions: additionsFor(reachability, answer) }, null, 2);
}
