/** A node -> what every check finds. One that cannot be made says so, and keeps none of the others from it. */
import { CannotKnowError, type Check, type CheckStatus, type Finding, type Result, unknown } from './check.ts';
import { CHECKS } from './checks.ts';
import { NodeFacts, type NodeFactsOptions } from './node-facts.ts';

export async function examine(options: NodeFactsOptions, checks: readonly Check[] = CHECKS): Promise<Result[]> {
  const node = new NodeFacts(options);
  return Promise.all(
    checks.map(async (check) => ({ id: check.id, group: check.group, ...(await findingOf(check, node)) })),
  );
}

export function countOf(results: readonly Result[], status: CheckStatus): number {
  return results.filter((result) => result.status === status).length;
}

async function findingOf(check: Check, node: NodeFacts): Promise<Finding> {
  try {
    return await check.run(node);
  } catch (error) {
    const words = ((error as Error).message.split('\n', 1)[0] ?? '').trim();
    if (error instanceof CannotKnowError) return unknown(words, todoOf(words));
    return unknown(`the check itself failed: ${words}`, 'tell the makers of selvedge');
  }
}

function todoOf(words: string): string {
  return /CAP_|EACCES|EPERM|user/.test(words) ? 'run it as root' : 'mend that first';
}
