/** `selvedge demo`: the shop of examples/shop on this machine, from no policy to least privilege, judged by real connections. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import pc from 'picocolors';
import { firstValueFrom } from 'rxjs';
import { followAgent } from '../api/client.ts';
import { type Flow, type FlowLine, PATHS } from '../api/contract.ts';
import type { DataplaneChoice } from '../dataplane/select.ts';
import { Agents } from '../lab/agents/agents.ts';
import { formatCounts } from '../lab/agents/format-counts.ts';
import { readKernelCounts } from '../lab/agents/kernel-counts.ts';
import { readRuleCounts } from '../lab/agents/rule-counts.ts';
import { type ClusterView, ClusterViews, warningText } from '../lab/cluster-view.ts';
import { Lab } from '../lab/lab.ts';
import { LabError } from '../lab/lab-error.ts';
import type { Backend } from '../lab/network/node-plan.ts';
import { probeMatrix } from '../lab/probing/probe-matrix.ts';
import { STEPS, type Step, surprises } from '../lab/shop.ts';
import type { VerdictCount } from '../model/verdict-event.ts';
import { FlowTable } from '../observe/flows/flow-table.ts';
import { formatMatrix } from '../observe/format-matrix.ts';
import type { Matrix } from '../observe/matrix.ts';
import { requireRoot } from '../privilege.ts';
import { directorySource } from '../sources/directory/directory-source.ts';
import { backendOption } from './backend-option.ts';
import { dataplaneOption } from './options.ts';
import { stopSignal } from './stop-signal.ts';
import { terminal } from './terminal.ts';

/** What an intruder is after. */
const TREASURE = 'database/database';
const SHOP = fileURLToPath(new URL('../../examples/shop', import.meta.url));

export function demoCommand(): Command {
  return new Command('demo')
    .description('Show a small shop on two nodes: without policy, with default deny, and with what it needs.')
    .addOption(backendOption())
    .addOption(dataplaneOption())
    .action(demo);
}

interface Options {
  readonly backend: Backend;
  readonly dataplane: DataplaneChoice;
}

async function demo(options: Options): Promise<void> {
  requireRoot('selvedge demo');
  using stop = stopSignal();
  const folder = mkdtempSync(join(tmpdir(), 'selvedge-demo-'));
  const started = performance.now();
  try {
    const wrong = await new Show(folder, options, stop.signal).run();
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    if (wrong > 0) throw new LabError(`${wrong} connections did other than the policies say`);
    const { green } = pc.createColors(terminal().colour);
    process.stdout.write(green(`\nEvery connection did what the policies say. ${seconds} s\n`));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

class Show {
  readonly #folder: string;
  readonly #options: Options;
  readonly #signal: AbortSignal;
  #matrix: Matrix | undefined;
  #counts: readonly VerdictCount[] = [];

  /** `folder` becomes the folder of manifests. */
  constructor(folder: string, options: Options, signal: AbortSignal) {
    this.#folder = folder;
    this.#options = options;
    this.#signal = signal;
  }

  /** @returns how many connections came to something else than expected */
  async run(): Promise<number> {
    const [first] = STEPS;
    const view = await this.#apply(first as Step);
    const { backend, dataplane } = this.#options;
    const lab = await Lab.start({ cluster: view.cluster, backend });
    const agents = new Agents({ manifests: [this.#folder], dataplane, pinDir: lab.mountBpffs() });
    try {
      await agents.follow(lab.interfaces());
      let wrong = 0;
      for (const [index, step] of STEPS.entries()) {
        const since = new Date().toISOString();
        wrong += await this.#play(step, index, { lab, agents, view: index === 0 ? view : await this.#apply(step) });
        if (index === STEPS.length - 1) await showDenied(lab, agents, since);
      }
      return wrong;
    } finally {
      await agents.stop();
      lab.close();
    }
  }

  async #play(
    step: Step,
    index: number,
    { lab, agents, view }: { lab: Lab; agents: Agents; view: ClusterView },
  ): Promise<number> {
    await agents.settled(view.revision, this.#signal);
    const matrix = await probeMatrix(lab);
    this.#signal.throwIfAborted();
    const nodes = lab.interfaces();
    const counted = nodes.map(async ({ namespace, pods }) => {
      if (agents.dataplaneOf(namespace) !== 'bpf') return readRuleCounts(namespace);
      return readKernelCounts({ directory: agents.pinDirOf(namespace), pods, policies: view.policies });
    });
    const counts = (await Promise.all(counted)).flat();
    const { bold, red } = pc.createColors(terminal().colour);
    const wrong = surprises(matrix, step);
    say(`\n${bold(`${index + 1}. ${step.title}`)}`);
    for (const file of step.files) say(`   examples/shop/${file}`);
    say(`\n${formatMatrix(matrix, { before: this.#matrix, sentences: false, ...terminal() })}`);
    say(`\n${formatCounts(counts, this.#counts, terminal().colour)}`);
    for (const surprise of wrong) say(red(`  ${surprise}`));
    this.#matrix = matrix;
    this.#counts = counts;
    return wrong.length;
  }

  /** Puts a step's files in force. */
  async #apply({ files }: Step): Promise<ClusterView> {
    for (const file of files) copyFileSync(join(SHOP, file), join(this.#folder, basename(file)));
    const view = new ClusterViews().next(await firstValueFrom(directorySource([this.#folder])));
    if (view.warnings.length > 0) throw new LabError(view.warnings.map(warningText).join('\n'));
    return view;
  }
}

/** What the agents have seen of those who tried to reach what they may not: the last step's, oldest first. */
async function showDenied(lab: Lab, agents: Agents, since: string): Promise<void> {
  const { bold, dim, ...colours } = pc.createColors(terminal().colour);
  const parameters = { verdict: 'deny', to: TREASURE, since };
  const told = await Promise.all(
    lab.interfaces().map(({ namespace }) => {
      return all(followAgent<FlowLine>(agents.socketOf(namespace), PATHS.flows, { parameters }));
    }),
  );
  // Each attempt once: they went over both families, and were tried again.
  const flows = new Map<string, Flow>();
  for (const one of told.flat()) {
    if (one.kind !== 'flow') continue;
    // Said again by the second while it goes on: the last word counts, by the policies in force now.
    flows.set(`${one.from.pod ?? one.from.address} ${one.port}`, { ...one, count: 1 });
  }
  say(`\n${bold(`Who was kept from ${TREASURE}, and by which policies`)}`);
  say(`   selvedge flows --verdict deny --to ${TREASURE}\n`);
  const table = new FlowTable({ dim, ...colours });
  for (const flow of [...flows.values()].sort((a, b) => (a.time < b.time ? -1 : 1)))
    process.stdout.write(`  ${table.line(flow).replaceAll(/\n(?=.)/g, '\n  ')}`);
  if (flows.size === 0) throw new LabError(`the agents have seen nobody try to reach ${TREASURE}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const value of values) list.push(value);
  return list;
}
