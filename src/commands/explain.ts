/**
 * `selvedge explain`: may FROM reach TO on PORT, and who decided: by the policies in a folder of manifests, which needs no
 * privilege, or by those that the running agent knows. And whether what the kernel holds is what the agent wants it to.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import pc from 'picocolors';
import { answersOfAgent } from '../api/answers.ts';
import { askAgent } from '../api/client.ts';
import { PATHS, type VerifyReply } from '../api/contract.ts';
import { type AnyQuery, type IcmpQuery, parseEnd, parsePort, type Query, QueryError } from '../model/query.ts';
import { type AnswerFormat, type Asked, answersTo, parseQueryLines } from '../observe/query-lines.ts';
import { Reachability } from '../observe/reachability.ts';
import { verificationText } from '../observe/verification-text.ts';
import { judgeOwnNodeOption, socketOption } from './options.ts';
import { writeOutput } from './output.ts';
import { readQueryText } from './query-text.ts';
import { readCluster, requirePaths } from './read-cluster.ts';
import { terminal } from './terminal.ts';

interface Options {
  readonly manifests?: string[];
  readonly judgeOwnNode: boolean;
  readonly verify: boolean;
  readonly socket: string;
  readonly from?: string;
  readonly to?: string;
  readonly port?: string;
  readonly protocol?: AnyQuery['protocol'];
  readonly family?: 'IPv4' | 'IPv6';
  readonly queries?: string;
  readonly output?: AnswerFormat;
}

export function explainCommand(): Command {
  return new Command('explain')
    .description(
      'Say whether one end can reach another, who decided, and what would admit it: by manifests, or by what the agent knows.',
    )
    .option('--manifests <path...>', 'folders or files of manifests (default: what the agent of this node knows)')
    .option('--from <end>', 'NAMESPACE/POD or an IP address')
    .option('--to <end>', 'NAMESPACE/POD or an IP address')
    .option('--port <port>', '8080/tcp, 53/udp, 9000/sctp; TCP when not said')
    .addOption(
      new Option(
        '--protocol <protocol>',
        'TCP, UDP, SCTP; or ICMP, without a port, for ping and all that has none',
      ).argParser(protocol),
    )
    .addOption(
      new Option('--family <family>', 'of the addresses; default: IPv4 where both ends have it').choices([
        'IPv4',
        'IPv6',
      ]),
    )
    .addOption(
      new Option(
        '--queries <file>',
        'JSON lines {"from","to","port","protocol","family"} instead of one query, - for stdin',
      ).conflicts(['from', 'to', 'port', 'protocol', 'family']),
    )
    .addOption(
      new Option('-o, --output <format>', 'default: text, jsonl with --queries').choices(['text', 'json', 'jsonl']),
    )
    .addOption(
      new Option('--verify', "compare the kernel with the agent's state: 1 when they differ")
        .default(false)
        .conflicts(['manifests', 'queries']),
    )
    .addOption(judgeOwnNodeOption())
    .addOption(socketOption())
    .action(run);
}

async function run(options: Options, command: Command): Promise<void> {
  const { queries, manifests, judgeOwnNode: judgesOwnNode } = options;
  if (judgesOwnNode && manifests === undefined) {
    command.error('error: the agent knows whether it judges the own node: --judge-own-node goes with --manifests', {
      exitCode: 2,
    });
  }
  if (options.verify) await verify(options);
  if (options.verify && options.from === undefined) return;
  if (manifests !== undefined) requirePaths('--manifests', manifests);
  const asked = queries === undefined ? [singleQuery(options, command)] : parseQueryLines(await readQueryText(queries));
  const format = options.output ?? (queries === undefined ? 'text' : 'jsonl');
  const onFault = (message: string) => {
    if (queries === undefined) throw new QueryError(message);
    process.stderr.write(`selvedge: ${message}\n`);
    process.exitCode = 1;
  };
  const { green, red } = pc.createColors(terminal().colour);
  const how = { format, emphasis: { allowed: green, denied: red }, onFault };
  const answers =
    manifests === undefined
      ? await answersOfAgent(asked, options.socket, how)
      : answersTo(asked, new Reachability(await readCluster(manifests), { judgesOwnNode }), how);
  await writeOutput(joined(answers, format, queries !== undefined));
}

async function verify({ socket, output }: Options): Promise<void> {
  const reply = await askAgent<VerifyReply>(socket, PATHS.verify, { method: 'POST' });
  const { red, green } = pc.createColors(terminal().colour);
  const texts =
    output === 'json' ? [`${JSON.stringify(reply, undefined, 2)}\n`] : verificationText(reply, { red, green });
  await writeOutput(texts);
  if (reply.differences.length > 0) process.exitCode = 1;
}

/** @throws {QueryError} */
function singleQuery({ from, to, port, protocol, family }: Options, command: Command): Asked {
  if (from === undefined || to === undefined || (port === undefined && protocol !== 'ICMP')) {
    const needed = '--from, --to and --port, or --protocol ICMP, are all needed, or --queries';
    return command.error(`error: ${needed}`, { exitCode: 2 });
  }
  const asked = { ...trafficOf(port, protocol), ...(family && { family }) };
  return { query: { from: parseEnd(from), to: parseEnd(to), ...asked }, fields: { from, to, ...asked } };
}

/** @throws {QueryError} */
function trafficOf(
  port: string | undefined,
  protocol: AnyQuery['protocol'] | undefined,
): Pick<Query, 'port' | 'protocol'> | Pick<IcmpQuery, 'protocol'> {
  if (protocol === 'ICMP') {
    if (port !== undefined) throw new QueryError('ICMP has no ports: --protocol ICMP goes without --port');
    return { protocol };
  }
  const text = port ?? '';
  const traffic = parsePort(protocol === undefined || text.includes('/') ? text : `${text}/${protocol}`);
  if (protocol !== undefined && traffic.protocol !== protocol) {
    throw new QueryError(`--port ${text} is not a port of --protocol ${protocol}`);
  }
  return traffic;
}

function protocol(text: string): AnyQuery['protocol'] {
  const found = (['TCP', 'UDP', 'SCTP', 'ICMP'] as const).find((one) => one === text.toUpperCase());
  if (found === undefined) throw new InvalidArgumentError('TCP, UDP, SCTP or ICMP.');
  return found;
}

/** One JSON value for one query, a list for several; otherwise lines. */
function* joined(answers: Iterable<string>, format: AnswerFormat, several: boolean): Generator<string> {
  const list = format === 'json' && several;
  const between = format === 'text' ? '\n\n' : list ? ',\n' : '\n';
  if (list) yield '[\n';
  let first = true;
  for (const answer of answers) {
    yield first ? answer : between + answer;
    first = false;
  }
  if (!first) yield '\n';
  if (list) yield ']\n';
}
