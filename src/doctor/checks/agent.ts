/** The agent of this node, as its socket tells. */
import { statSync } from 'node:fs';
import packageJson from '../../../package.json' with { type: 'json' };
import { askAgent } from '../../api/client.ts';
import { DEFAULT_SOCKET, PATHS, type Status } from '../../api/contract.ts';
import { PLUGIN, type PluginSettings } from '../../cni/conf-list.ts';
import { CannotKnowError, type Check, type Finding, failure, ok, warning } from '../check.ts';
import type { NodeFacts } from '../node-facts.ts';
import { cniConf } from './cni.ts';

const PATIENCE_MS = 2_000;
const PLUGIN_FOLDERS = ['/opt/cni/bin', '/usr/lib/cni', '/var/lib/rancher/k3s/data/current/bin'];

export const agentChecks: readonly Check[] = [
  {
    id: 'agent',
    group: 'agent',
    looksAt: 'the agent’s socket: whether it answers, is ready, of which version it is',
    run: (node) => agent(node),
  },
  {
    id: 'first-packet',
    group: 'agent',
    looksAt: 'the chained plugin selvedge-cni: in the list that is in use, among the plugins, with an agent to ask',
    run: (node) => firstPacket(node),
  },
];

async function agent(node: NodeFacts): Promise<Finding> {
  const path = node.path(node.socket);
  if (!node.exists(node.socket)) return ok('none runs here', `nothing listens on ${node.socket}: as before installing`);
  let status: Status;
  try {
    status = await askAgent<Status>(path, PATHS.status, { signal: AbortSignal.timeout(PATIENCE_MS) });
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

/** The plugin that has pods wait for their policies, where the container runtime would find it. */
function firstPacket(node: NodeFacts): Finding {
  const conf = cniConf(node);
  const entry = conf?.plugins.find(({ type }) => type === PLUGIN) as Partial<PluginSettings> | undefined;
  if (conf === undefined || entry === undefined) {
    return ok('selvedge-cni is not in use', 'a pod that starts is judged from the moment its record has its address');
  }
  const found = `selvedge-cni is in ${conf.file}`;
  if (!PLUGIN_FOLDERS.some((folder) => node.exists(`${folder}/${PLUGIN}`))) {
    const means = 'the container runtime cannot call it: no pod starts here';
    return failure(`${found}, but not in ${PLUGIN_FOLDERS.join(' or ')}`, means, 'selvedge cni install, or uninstall');
  }
  if (!node.exists(entry.socket ?? DEFAULT_SOCKET) && entry.onAgentDown !== 'open') {
    return warning(`${found}, and no agent runs`, 'no pod with a network of its own starts', 'start the agent');
  }
  return ok(`${found}, a pod waits up to ${entry.timeout ?? 5} s for its policies`);
}
