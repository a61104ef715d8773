/** A line of docs/install-flannel.md -> run as it stands there, by an administrator whose kubeconfig this is, where the API server is reached. */
import { existsSync, readFileSync } from 'node:fs';
import { run } from '../../src/child-process.ts';
import { netns } from '../../src/native.ts';
import { HELM } from './support.ts';

const GUIDE = readFileSync('docs/install-flannel.md', 'utf8');
const KUBECTL = 'build/tools/kubectl';
/** What a reader is to put there. */
export const IMAGE = 'registry.example/selvedge';
export const NEXT = 'next';

/** Why its commands cannot be run; undefined where they can. */
export const missingCommands =
  HELM === undefined || !existsSync(KUBECTL) ? `no helm or ${KUBECTL}; scripts/test-apiserver builds them` : undefined;

export interface Administrator {
  readonly namespace: string;
  readonly kubeconfig: string;
}

/** @returns what the command says @throws {CommandError} @throws Error the guide has no such line */
export function followGuide({ namespace, kubeconfig }: Administrator, line: string): Promise<string> {
  // Or a part of one, between backticks.
  if (!GUIDE.includes(`\n${line}\n`) && !GUIDE.includes(`\`${line}\``))
    throw new Error(`the guide does not say: ${line}`);
  const [command = '', ...args] = line.replace('REGISTRY/selvedge', IMAGE).replace('NEW', NEXT).split(' ');
  const program = { helm: HELM, kubectl: KUBECTL }[command];
  if (program === undefined) throw new Error(`what is ${command}?`);
  return netns.run(namespace, () => ({ ended: run(program, ['--kubeconfig', kubeconfig, ...args]) })).ended;
}
