/** What a lab tells its agents: as arguments that `selvedge agent` takes, and read again by those that stand in for it. */
import { parseArgs } from 'node:util';
import type { DataplaneChoice } from '../../dataplane/select.ts';

export interface AgentArguments {
  readonly manifests: readonly string[];
  readonly node: string;
  /** In a bpffs. */
  readonly pinDir: string;
  readonly dataplane: DataplaneChoice;
  /** Of its API; in a folder that all namespaces of this machine share. */
  readonly socket: string;
}

export function agentArguments({ manifests, node, pinDir, dataplane, socket }: AgentArguments): string[] {
  const named = { 'node-name': node, 'pin-dir': pinDir, dataplane, socket };
  const pairs = Object.entries(named).flatMap(([name, value]) => [`--${name}`, value]);
  // The namespace is the lab's own, so are its settings.
  return ['agent', '--manifests', ...manifests, ...pairs, '--set-sysctls'];
}

/** Of this process. One path of manifests. */
export function readAgentArguments(): AgentArguments {
  const text = { type: 'string', default: '' } as const;
  const { values } = parseArgs({
    allowPositionals: true,
    options: {
      manifests: text,
      'node-name': text,
      'pin-dir': text,
      dataplane: text,
      socket: text,
      'set-sysctls': { type: 'boolean' },
    },
  });
  return {
    manifests: [values.manifests],
    node: values['node-name'],
    pinDir: values['pin-dir'],
    dataplane: values.dataplane as DataplaneChoice,
    socket: values.socket,
  };
}
