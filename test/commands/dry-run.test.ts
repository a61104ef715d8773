/** What `selvedge agent --dry-run` prints: in the names of the API, and no name where there is none. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import { dryRunText } from '../../src/commands/dry-run.ts';
import type { DryRunReport } from '../../src/dataplane/bpf/dry-run.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import { selvedge } from '../observe/command.ts';
import { describeAsRoot, hiddenFromOthers } from '../support/privilege.ts';

const fromRoot = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const SELVEDGE = fromRoot('bin/selvedge');
const NOTHING = { generation: 0, maps: [], programs: [], interfaces: [], rulesets: [] };

it('a first run tells of pods without an interface, and of no policy that would be gone', () => {
  const rulesets = [2, 1].map((sets) => ({ policies: [], sets, deletions: 0 }));
  expect(dryRunText({ ...NOTHING, rulesets })).toBe(
    'nothing is in force that could be taken over\nrows of pods whose interface is not here yet: 3 to set, 0 to delete\n',
  );
});

it('rows go by their policies, and those of policies that are gone are one line', () => {
  const rulesets: DryRunReport['rulesets'] = [
    { direction: 'ingress', policies: ['shop/web' as ObjectKey], sets: 1, deletions: 2 },
    { policies: [], sets: 0, deletions: 1 },
    { policies: [], sets: 0, deletions: 4 },
  ];
  expect(dryRunText({ ...NOTHING, generation: 7, rulesets })).toBe(
    'in force: state 7\nrows of shop/web (ingress): 1 to set, 2 to delete\nrows of policies that are gone: 0 to set, 5 to delete\n',
  );
});

it('nothing to write is said', () => {
  expect(dryRunText({ ...NOTHING, generation: 7 })).toBe('in force: state 7\nnothing would be written\n');
});

it.each(['--manifests', '--kubeconfig'])(
  '%s that is not there is an error: nobody would wait for it',
  async (option) => {
    const { code, stdout, stderr } = await selvedge(['agent', '--dry-run', option, '/nowhere']);
    expect({ code, stdout, stderr }).toEqual({
      code: 2,
      stdout: '',
      stderr: `selvedge: ${option} /nowhere: there is no such file or folder\n`,
    });
  },
);

describeAsRoot('a dry run', () => {
  it.skipIf(hiddenFromOthers !== undefined)(`says without root what is missing [${hiddenFromOthers ?? 'run'}]`, () => {
    const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups'];
    const dry = [SELVEDGE, 'agent', '--dry-run', '--manifests', fromRoot('examples/shop')];
    expect(() => runSync('setpriv', [...nobody, ...dry])).toThrow('missing here: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON');
  });
});
