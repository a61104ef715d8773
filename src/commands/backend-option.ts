/** `--backend`, for every command that has a lab. */
import { Option } from 'commander';

export function backendOption(): Option {
  return new Option('--backend <name>', 'how nodes are joined, as Flannel does')
    .choices(['vxlan', 'host-gw'])
    .default('vxlan');
}
