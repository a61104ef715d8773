/** The agent of this node, as its socket tells. */
import { statSync } from 'node:fs';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import packageJson from '../../../package.json' with { type: 'json' };
import { PATHS, type Status } from '../../api/contract.ts';
import { CannotKnowError, type Check, type Finding, failure, ok, warning } from '../check.ts';
import type { NodeFacts } from '../node-facts.ts';

const PATIENCE_MS = 2_000;

export const agentChecks: readonly Check[] = [
  {
    id: 'agent',
    group: 'agent',
    looksAt: 'the agent’s socket: whether it answers, is ready, of which version it is',
    run: (node) => agent(node),
  },
];

async function agent(node: NodeFacts): Promise<Finding> {
  const path = node.path(node.socket);
  if (!node.exists(node.socket)) return ok('none runs here', `nothing listens on ${node.socket}: as before installing`);
  let status: Status;
  try {
    status = JSON.parse(await ask(path));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EACCES') throw new CannotKnowError(`${node.socket} is not this user's to ask`, { cause: error });
    const means = 'the kernel goes on enforcing the last state, and nobody brings news to it';
    return failure(
      `does not answer (${message})`,
      means,
      'look at the log of the agent’s pod; a leftover socket of one that ended can be removed',
    );
  }
  return judged(status, statSync(path).mode & 0o777);
}

function judged({ version, ready, faults, dataplane, interfaces }: Status, mode: number): Finding {
  const found = `version ${version} on ${dataplane.kind}, ${interfaces.enforced} interfaces enforced`;
  if (!ready)
    return failure(
      `not ready: ${faults.join('; ')}`,
      'not everything that was seen is in force',
      'see `selvedge status`',
    );
  if (version !== packageJson.version) {
    return warning(
      found,
      `this is selvedge ${packageJson.version}`,
      'use the command of the agent’s image, or upgrade the agent',
    );
  }
  if ((mode & 0o077) !== 0) {
    return warning(
      `${found}; its socket is open to others (${mode.toString(8)})`,
      'they can see the node’s connections',
      'chmod 0600 it',
    );
  }
  return ok(found);
}

function ask(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { socketPath, path: PATHS.status, timeout: PATIENCE_MS };
    const asked = request(options, (response) => {
      const body = text(response);
      if (response.statusCode === 200) resolve(body);
      else body.then((words) => reject(new Error(`HTTP ${response.statusCode}: ${words.slice(0, 200)}`)), reject);
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${PATIENCE_MS / 1_000} s`)));
    asked.on('error', reject).end();
  });
}
