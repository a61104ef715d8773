/** Options that several commands share, so that they read alike everywhere. */
import { basename, isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidArgumentError, Option } from 'commander';
import { DEFAULT_SOCKET } from '../api/contract.ts';
import { KINDS } from '../dataplane/select.ts';

/** The compiled packet path; another one for trying out versions. */
export const BPF_OBJECT =
  process.env.SELVEDGE_BPF_OBJECT ?? fileURLToPath(new URL('../../build/policy.bpf.o', import.meta.url));

/** `none` is for those who can do without. */
export function dataplaneOption(more: readonly 'none'[] = []): Option {
  return new Option('--dataplane <name>', 'what enforces the policies')
    .choices(['auto', ...KINDS, ...more])
    .default('auto', 'auto: bpf, or ipset where that is not possible');
}

/** The agent's API; where commands ask it. */
export function socketOption(): Option {
  return new Option('--socket <path>', "unix socket of the agent's API").env('SELVEDGE_SOCKET').default(DEFAULT_SOCKET);
}

/** Of the agent, and of commands that say what it would decide. */
export function judgeOwnNodeOption(): Option {
  return new Option(
    '--judge-own-node',
    'judge what a pod sends to its own node by its egress policies; else that always passes',
  ).default(false);
}

export function pinDirOption(): Option {
  return new Option('--pin-dir <path>', 'folder in a bpffs for maps, programs and links')
    .env('SELVEDGE_PIN_DIR')
    .argParser(pinDir)
    .default('/sys/fs/bpf/selvedge');
}

/** The kernel would say no more than EPERM of a name with a dot. */
function pinDir(text: string): string {
  if (isAbsolute(text) && !basename(text).includes('.')) return text;
  throw new InvalidArgumentError('an absolute path, its last name without a dot: a bpffs takes none.');
}
