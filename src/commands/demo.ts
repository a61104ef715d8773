/** `selvedge demo`: the shop of examples/shop on this machine, from no policy to least privilege, judged by real connections. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import pc from 'picocolors';
import { firstValueFrom } from 'rxjs';
import type { DataplaneChoice } from '../dataplane/select.ts';
import { Agents } from '../lab/agents.ts';
import { type ClusterView, ClusterViews, warningText } from '../lab/cluster-view.ts';
import { formatCounts } from '../lab/format-counts.ts';
import { readKernelCounts } from '../lab/kernel-counts.ts';
import { Lab } from '../lab/lab.ts';
import { LabError } from '../lab/lab-error.ts';
import type { Backend } from '../lab/node-plan.ts';
import { probeMatrix } from '../lab/probe-matrix.ts';
import { STEPS, type Step, surprises } from '../lab/shop.ts';
import type { VerdictCount } from '../model/verdict-event.ts';
import { formatMatrix } from '../observe/format-matrix.ts';
import type { Matrix } from '../observe/matrix.ts';
import { requireRoot } from '../privilege.ts';
import { directorySource } from '../sources/directory/directory-source.ts';
import { backendOption } from './backend-option.ts';
import { dataplaneOption } from './options.ts';
import { stopSignal } from './stop-signal.ts';
import { terminal } from './terminal.ts';

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
        wrong += await this.#play(step, index, { lab, agents, view: index === 0 ? view : await this.#apply(step) });
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
    // Rules of iptables count for policies, not for pods.
    const counted = nodes.filter(({ namespace }) => agents.dataplaneOf(namespace) === 'bpf');
    const counts = counted.flatMap(({ namespace, pods }) => {
      return readKernelCounts({ directory: agents.pinDirOf(namespace), pods, policies: view.policies });
    });
    const { bold, red } = pc.createColors(terminal().colour);
    const wrong = surprises(matrix, step);
    say(`\n${bold(`${index + 1}. ${step.title}`)}`);
    for (const file of step.files) say(`   examples/shop/${file}`);
    say(`\n${formatMatrix(matrix, { before: this.#matrix, sentences: false, ...terminal() })}`);
    if (counted.length > 0) say(`\n${formatCounts(counts, this.#counts, terminal().colour)}`);
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

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
