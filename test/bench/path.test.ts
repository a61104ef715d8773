/** The benchmark of the packet path: it measures what it says, judges by what was to be reached, and leaves nothing behind. */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Case } from '../../src/bench/path/case.ts';
import { benchPath } from '../../src/bench/path/command.ts';
import { formatReport } from '../../src/bench/path/format-report.ts';
import { reportOf } from '../../src/bench/path/report.ts';
import { run, start } from '../../src/child-process.ts';
import { knownLabs } from '../../src/lab/lab-record.ts';
import { labOf, pidOf } from '../../src/lab/network/names.ts';
import { listNamespaces } from '../../src/lab/network/network.ts';
import { eventually } from '../support/eventually.ts';
import { describeAsRoot } from '../support/privilege.ts';

function caseOf(scale: string, name = 'within the node', group: Case['group'] = 'established'): Case {
  return { group, name, family: 4, hook: 'to_pod', scale, shots: [], passes: true, repeat: 1, fresh: false };
}

const SELVEDGE = fileURLToPath(new URL('../../bin/selvedge', import.meta.url));

function filesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Of a process: labs by their records, and namespaces. */
function tracesOf(pid: number | undefined) {
  const labs = knownLabs().filter((lab) => pidOf(lab) === pid);
  const namespaces = listNamespaces().filter((name) => {
    const lab = labOf(name);
    return lab !== undefined && pidOf(lab) === pid;
  });
  return { labs, namespaces };
}

const NOTHING = { labs: [], namespaces: [] };

describe('a report', () => {
  const cases = [caseOf('10 policies'), caseOf('10 policies', 'from another node'), caseOf('10,000 policies')];
  const times = [40, 60, 42];
  const measured = { empty: { ns: 20, spread: 0 }, cases: times.map((ns) => ({ ns, spread: 0 })) };
  const report = reportOf(cases, measured);

  it('has each case as a ratio to the empty program of the same run', () => {
    expect(report.rows.map(({ ratio }) => ratio)).toEqual([2, 3, 2.1]);
  });

  it('counts the slowest of a kind, and a larger world against the same packet in the small one', () => {
    expect(report.goals.map(({ what, value, reached, by }) => ({ what, value, reached, by }))).toEqual([
      { what: 'established packet or reply', value: 3, reached: false, by: 'to_pod, IPv4, from another node' },
      {
        what: 'established: 10,000 policies against 10 policies',
        value: 1.05,
        reached: true,
        by: 'to_pod, within the node',
      },
    ]);
  });

  it('is a table without colour where none is wanted', () => {
    const text = formatReport(report, false);
    expect(text).toContain('to_pod   IPv4 from another node     60.0 ns    3.00');
    expect(text).not.toContain('\u001b');
  });
});

describeAsRoot('a run', () => {
  it('measures hooks of every kind, and removes what it has made', async () => {
    const only = /(established|drop, with event) (from_pod|to_pod|to_node) IPv4 .*10 policies/;
    const { rows, emptyNs } = await benchPath({ output: 'json', quick: true, only }, new AbortController().signal);
    expect(new Set(rows.map(({ hook }) => hook))).toEqual(new Set(['from_pod', 'to_pod', 'to_node']));
    expect(rows).toHaveLength(12);
    // How long it took is the machine's business: where others want its processors, the empty program may be the slower one.
    for (const ns of [emptyNs, ...rows.map((row) => row.ns)]) expect(ns).toSatisfy(Number.isFinite);
    expect(tracesOf(process.pid)).toEqual(NOTHING);
  });

  it('leaves what `selvedge lab down` removes when it is killed, pins too', async () => {
    const command = start(SELVEDGE, ['bench', 'path', '--quick'], { onLine: () => {} });
    try {
      const pins = () => tracesOf(command.pid).labs.flatMap((lab) => filesIn(`/run/selvedge-lab/${lab}/bpf`));
      await eventually(() => expect(pins()).not.toEqual([]));
    } finally {
      command.kill('SIGKILL');
      await command.ended;
    }
    const { labs } = tracesOf(command.pid);
    expect(labs).toHaveLength(1);
    await run(SELVEDGE, ['lab', 'down', ...labs]);
    expect(tracesOf(command.pid)).toEqual(NOTHING);
    for (const lab of labs) expect(existsSync(`/run/selvedge-lab/${lab}`)).toBe(false);
  });

  it('says so when nothing is left to measure', async () => {
    const options = { output: 'json', quick: true, only: /of no case/ } as const;
    await expect(benchPath(options, new AbortController().signal)).rejects.toThrow('nothing to measure');
  });
});
