/** `selvedge explain`: may FROM reach TO on PORT by the policies in a folder of manifests, and who decided. Needs no privilege. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { Command, Option } from 'commander';
import pc from 'picocolors';
import { parseEnd, parsePort, parseQuery, type Query, QueryError } from '../model/query.ts';
import { additionsFor } from '../observe/addition.ts';
import { answerRecord } from '../observe/answer-record.ts';
import { explain } from '../observe/explanation.ts';
import { Reachability } from '../observe/reachability.ts';
import { readCluster } from './read-cluster.ts';

interface Options {
  readonly manifests: string[];
  readonly from?: string;
  readonly to?: string;
  readonly port?: string;
  readonly family?: 'IPv4' | 'IPv6';
  readonly queries?: string;
  readonly output?: Output;
}

type Output = 'text' | 'json' | 'jsonl';

/** A query and the fields that its answer repeats. */
interface Asked {
  readonly query: Query;
  readonly fields: object;
}

const EMPHASIS = { allowed: pc.green, denied: pc.red };
/** Answers are written in pieces of about so many characters. */
const PIECE = 1 << 18;

export function explainCommand(): Command {
  return new Command('explain')
    .description(
      'Say whether one end can reach another by the policies in manifests, who decided, and what would admit it.',
    )
    .requiredOption('--manifests <path...>', 'folders or files of manifests')
    .option('--from <end>', 'NAMESPACE/POD or an IP address')
    .option('--to <end>', 'NAMESPACE/POD or an IP address')
    .option('--port <port>', '8080/tcp, 53/udp, 9000/sctp; TCP when not said')
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
      ).conflicts(['from', 'to', 'port', 'family']),
    )
    .addOption(
      new Option('-o, --output <format>', 'default: text, jsonl with --queries').choices(['text', 'json', 'jsonl']),
    )
    .exitOverride()
    .showHelpAfterError('(selvedge explain --help)')
    .action(run);
}

async function run(options: Options, command: Command): Promise<void> {
  const asked = await readQueries(options, command);
  const reachability = new Reachability(await readCluster(options.manifests));
  const output = options.output ?? (options.queries === undefined ? 'text' : 'jsonl');
  const answers = answersTo(asked, reachability, output, (fault) => {
    if (options.queries === undefined) command.error(`error: ${fault}`, { exitCode: 2 });
    process.stderr.write(`selvedge: ${fault}\n`);
    process.exitCode = 1;
  });
  await print(answers, output, options.queries !== undefined);
}

async function readQueries(options: Options, command: Command): Promise<Asked[]> {
  const wrong = (message: string): never => command.error(`error: ${message}`, { exitCode: 2 });
  try {
    if (options.queries === undefined) return [singleQuery(options)];
    const lines = await readFileOrInput(options.queries);
    return lines.split('\n').flatMap((line, index) => {
      if (line.trim() === '') return [];
      try {
        const query = parseQuery(line);
        return [{ query, fields: { ...(JSON.parse(line) as object), protocol: query.protocol } }];
      } catch (error) {
        if (!(error instanceof QueryError)) throw error;
        return wrong(`${options.queries === '-' ? 'stdin' : options.queries}:${index + 1}: ${error.message}`);
      }
    });
  } catch (error) {
    if (error instanceof QueryError) return wrong(error.message);
    throw error;
  }
}

function singleQuery({ from, to, port, family }: Options): Asked {
  if (from === undefined || to === undefined || port === undefined) {
    throw new QueryError('--from, --to and --port are all needed, or --queries');
  }
  const traffic = parsePort(port);
  const query = { from: parseEnd(from), to: parseEnd(to), ...traffic, ...(family && { family }) };
  return { query, fields: { from, to, ...traffic, ...(family && { family }) } };
}

function readFileOrInput(file: string): Promise<string> {
  return file === '-' ? text(process.stdin) : readFile(file, 'utf8');
}

/** The answers as text, in the order of the queries. One that cannot be answered is told of and has an `error` for a verdict. */
function* answersTo(
  asked: readonly Asked[],
  reachability: Reachability,
  output: Output,
  onFault: (message: string) => void,
): Generator<string> {
  for (const { query, fields } of asked) {
    try {
      const answer = reachability.ask(query);
      if (output === 'text') yield explain(reachability, answer, EMPHASIS);
      else if (output === 'jsonl') yield JSON.stringify({ ...fields, ...answerRecord(reachability, answer) });
      else {
        const additions = additionsFor(reachability, answer);
        yield JSON.stringify({ ...fields, ...answerRecord(reachability, answer), additions }, null, 2);
      }
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      onFault(error.message);
      yield output === 'text' ? `error: ${error.message}` : JSON.stringify({ ...fields, error: error.message });
    }
  }
}

/** One JSON value for one query, a list for several; otherwise lines. */
async function print(answers: Iterable<string>, output: Output, several: boolean): Promise<void> {
  const list = output === 'json' && several;
  const between = output === 'text' ? '\n\n' : list ? ',\n' : '\n';
  let piece = list ? '[\n' : '';
  let first = true;
  for (const answer of answers) {
    piece += first ? answer : between + answer;
    first = false;
    if (piece.length < PIECE) continue;
    await write(piece);
    piece = '';
  }
  await write(`${piece}${list ? '\n]\n' : first ? '' : '\n'}`);
}

async function write(piece: string): Promise<void> {
  if (!process.stdout.write(piece)) await once(process.stdout, 'drain');
}
