/** Options that several commands share, so that they read alike everywhere. */
import { Option } from 'commander';

export function pinDirOption(): Option {
  return new Option('--pin-dir <path>', 'folder in a bpffs for maps, programs and links')
    .env('SELVEDGE_PIN_DIR')
    .default('/sys/fs/bpf/selvedge');
}
