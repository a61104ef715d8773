/** Queries -> what the running agent answers, in the very forms in which `selvedge explain` answers by manifests. */
import type { AnswerFormat, AnswerOptions, Asked } from '../observe/query-lines.ts';
import { AgentError, askAgent } from './client.ts';
import { type ExplainReply, PATHS } from './contract.ts';

/** One after the other: the agent works each out anew. @throws {AgentError} when it cannot be asked at all */
export async function answersOfAgent(
  asked: readonly Asked[],
  socket: string,
  { format, emphasis, onFault }: AnswerOptions,
): Promise<string[]> {
  const answers: string[] = [];
  for (const one of asked) {
    try {
      const reply = await askAgent<ExplainReply>(socket, PATHS.explain, { method: 'POST', body: one.fields });
      // The verdict comes first.
      const text = reply.text.replace(/^allowed/, emphasis.allowed).replace(/^denied/, emphasis.denied);
      answers.push(format === 'text' ? text : recordText(one, reply, format));
    } catch (error) {
      if (!(error instanceof AgentError) || error.code !== 'QUERY') throw error;
      onFault(error.message, one);
      answers.push(
        format === 'text' ? `error: ${error.message}` : JSON.stringify({ ...one.fields, error: error.message }),
      );
    }
  }
  return answers;
}

/** Lines are for many queries: there, what would admit a denied one is left out. */
function recordText({ fields }: Asked, { record, additions }: ExplainReply, format: AnswerFormat): string {
  const told = { ...fields, ...(record as object) };
  return format === 'json' ? JSON.stringify({ ...told, additions }, null, 2) : JSON.stringify(told);
}
