/** Where BPF cannot be had the agent ends on ipset, for the right reason: whatever it is that is missing. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { run } from '../../src/child-process.ts';
import { makeCandidates } from '../../src/dataplane/candidates.ts';
import { selectDataplane } from '../../src/dataplane/select.ts';
import { OBJECT } from '../support/kernel/dataplanes.ts';
import { TestNamespace } from '../support/kernel/test-namespace.ts';
import { describeAsRoot } from '../support/privilege.ts';

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
/** Number of the system call `bpf`. */
const BPF = { x64: 321, arm64: 280 }[process.arch as string];
const EPERM = 1;
const ENOSYS = 38;

const without = (errno: number) => ['perl', fixture('without-syscall.pl'), `${BPF}`, `${errno}`];
const lacking = (...capabilities: readonly string[]) => {
  return ['setpriv', `--bounding-set=${capabilities.map((name) => `-${name}`).join()}`];
};
/** In place of the usual bpffs, as in a container whose first process it is. */
const unmounted = [
  'unshare',
  '--mount',
  '--pid',
  '--fork',
  '--mount-proc',
  'sh',
  '-c',
  'mount -t tmpfs none /sys/fs/bpf && exec "$@"',
  'sh',
];

/** What the process is run by, and what it says in the end. */
const ABSENCES: Readonly<Record<string, readonly [command: readonly string[], reason: RegExp]>> = {
  'a system call that a seccomp filter forbids': [
    without(EPERM),
    /none is missing here: something else forbids it.*bpf_object__load .*Operation not permitted \(EPERM\)/,
  ],
  'a kernel without the system call': [without(ENOSYS), /bpf_object__load .*Function not implemented \(ENOSYS\)/],
  CAP_BPF: [lacking('bpf', 'sys_admin'), /missing here: CAP_BPF\): bpf_object__load .*\(EPERM\)/],
  CAP_PERFMON: [lacking('perfmon', 'sys_admin'), /missing here: CAP_PERFMON\): bpf_object__load .*\(EACCES\)/],
  'a bpffs that may not be mounted': [
    [...unmounted, ...lacking('sys_admin')],
    /mounting a bpffs takes CAP_SYS_ADMIN too\): mount .*\(EPERM\)/,
  ],
};

describeAsRoot('without', () => {
  let namespace: TestNamespace;
  const directory = `/sys/fs/bpf/selvedge-test-${process.pid}-absent`;

  beforeEach(() => {
    namespace = new TestNamespace('absences', []);
  });

  afterEach(() => namespace.close());

  async function choose(command: readonly string[], pinDir = directory): Promise<{ kind: string; reason: string }> {
    const [name = '', ...args] = [...command, process.execPath, fixture('select.ts'), pinDir];
    const said = namespace.run(() => ({ text: run(name, args) }));
    return JSON.parse(await said.text);
  }

  it('nothing missing it is BPF', async () => {
    expect(await choose(['env'])).toEqual({
      kind: 'bpf',
      reason: expect.stringMatching(/works here; programs attached/),
    });
  });

  for (const [what, [command, reason]] of Object.entries(ABSENCES)) {
    it(`${what} it is ipset`, async () => {
      const chosen = await choose(command);
      expect(chosen.kind).toBe('ipset');
      expect(chosen.reason).toMatch(reason);
      expect(chosen.reason).toMatch(/^bpf is not possible here: .*; iptables-nft: nobody else has rules$/);
      expect(existsSync(directory)).toBe(false);
    });
  }

  it('a bpffs where the pins are to be it is ipset', async () => {
    const { kind, reason } = await choose(['env'], '/run/slv-no-bpffs/here');
    expect([kind, reason]).toEqual(['ipset', expect.stringContaining('/run is in no bpffs; give a folder in one')]);
  });

  it('TCX and clsact it is ipset', async () => {
    const attach = () => {
      throw new Error('RTM_NEWQDISC clsact: Operation not supported (EOPNOTSUPP)');
    };
    const ipset = { auditEvery: 0, within: <T>(start: () => T) => namespace.run(start) };
    const candidates = makeCandidates({ bpf: { path: OBJECT, directory }, ipset, attach });
    const { kind, reason, dataplane } = await selectDataplane({ choice: 'auto', candidates });
    expect([kind, reason]).toEqual([
      'ipset',
      'bpf is not possible here: RTM_NEWQDISC clsact: Operation not supported (EOPNOTSUPP); iptables-nft: nobody else has rules',
    ]);
    dataplane.close();
    expect(existsSync(directory)).toBe(false);
    expect(readFileSync('/proc/net/dev', 'utf8')).not.toContain(`slvtry${process.pid}`);
  });
});
