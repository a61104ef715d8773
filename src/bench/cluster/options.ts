/** What `selvedge bench --cluster` can be told, beside --policies and --rounds. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import packageJson from '../../../package.json' with { type: 'json' };

export const NODES = ['same', 'other', 'both'] as const;
export type Nodes = (typeof NODES)[number];

export interface ClusterOptions {
  readonly namespace: string;
  readonly image: string;
  /** Where clients run: on the servers' node, on another one, or some on each. */
  readonly nodes: Nodes;
  /** What enforces there, as the report shall call it. */
  readonly name: string;
  readonly policies: number;
  readonly rounds: number;
}

/** As all manifests name it. */
const IMAGE = `selvedge:${packageJson.version}`;

export const CLUSTER_DEFAULTS: ClusterOptions = {
  namespace: 'selvedge-bench',
  image: IMAGE,
  nodes: 'both',
  name: 'cluster',
  policies: 100,
  rounds: 5,
};

export function addClusterOptions(command: Command): Command {
  const { namespace, image, name } = CLUSTER_DEFAULTS;
  return command
    .option('--cluster', 'print manifests that run the measures between pods of a cluster, whatever enforces there')
    .option('--namespace <name>', `of --cluster: the namespace to make (default: ${namespace})`, labelOf)
    .option('--image <image>', `of --cluster (default: ${image})`)
    .addOption(
      new Option('--nodes <nodes>', "of --cluster: clients on the servers' node, on another, or both").choices(NODES),
    )
    .option('--name <name>', `of --cluster: what enforces there, for the report (default: ${name})`, nameOf);
}

/** A namespace's name, as the API server takes it. */
function labelOf(text: string): string {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError(`${text} is no name of a namespace.`);
}

export function nameOf(text: string): string {
  if (/^[\w.()+ -]{1,40}$/.test(text)) return text;
  throw new InvalidArgumentError(`${text} is no name of 1 to 40 letters, digits, blanks and .()+-_.`);
}
