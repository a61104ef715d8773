/** The command `selvedge`: its subcommands, one file each in commands/, and the exit code: 0 done, 1 failed, 2 asked for wrongly. */
import { Command, CommanderError } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { agentCommand } from './commands/agent.ts';
import { benchCommand } from './commands/bench.ts';
import { cleanupCommand } from './commands/cleanup.ts';
import { cniCommand } from './commands/cni.ts';
import { demoCommand } from './commands/demo.ts';
import { doctorCommand } from './commands/doctor.ts';
import { explainCommand } from './commands/explain.ts';
import { flowsCommand } from './commands/flows.ts';
import { labCommand } from './commands/lab.ts';
import { matrixCommand } from './commands/matrix.ts';
import { endWithReader, isReaderGone } from './commands/output.ts';
import { statusCommand } from './commands/status.ts';
import { UsageError } from './commands/usage-error.ts';
import { QueryError } from './model/query.ts';

/** Of every error, whoever found it. */
const PREFIX = 'selvedge: ';

const program = new Command('selvedge')
  .description('NetworkPolicy for any CNI that gives each pod a veth: enforced by eBPF, or by ipset and iptables.')
  .version(packageJson.version)
  .showHelpAfterError('(selvedge --help, selvedge COMMAND --help)')
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, PREFIX)) })
  .exitOverride()
  // An option behind a subcommand is the subcommand's: `bench path -o json`.
  .enablePositionalOptions();

for (const command of [
  agentCommand,
  cleanupCommand,
  cniCommand,
  doctorCommand,
  statusCommand,
  flowsCommand,
  explainCommand,
  matrixCommand,
  labCommand,
  demoCommand,
  benchCommand,
]) {
  program.addCommand(likeIts(program, command()));
}

/** Commands that were made elsewhere do not inherit how errors are told and ended. */
function likeIts(parent: Command, command: Command): Command {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) likeIts(command, child);
  return command;
}

endWithReader();
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else if (!isReaderGone(error)) fail(error);
}

/** One line for a person; the stack only on request. */
function fail(error: unknown): void {
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${PREFIX}${text}\n`);
  if (process.env.SELVEDGE_DEBUG) process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`);
  process.exitCode = error instanceof UsageError || error instanceof QueryError ? 2 : 1;
}
