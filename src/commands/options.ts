/** Options that several commands share, so that they read alike everywhere. */
import { fileURLToPath } from 'node:url';
import { Option } from 'commander';

/** The compiled packet path. */
export const BPF_OBJECT = fileURLToPath(new URL('../../build/policy.bpf.o', import.meta.url));

export function pinDirOption(): Option {
  return new Option('--pin-dir <path>', 'folder in a bpffs for maps, programs and links')
    .env('SELVEDGE_PIN_DIR')
    .default('/sys/fs/bpf/selvedge');
}
