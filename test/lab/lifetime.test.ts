// A lab leaves nothing behind, however it ends.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { type RunningCommand, run, start } from '../../src/child-process.ts';
import { Lab } from '../../src/lab/lab.ts';
import { claimLab, deadLabs, knownLabs, removeLab } from '../../src/lab/lab-record.ts';
import { type LabId, labOf, pidOf } from '../../src/lab/network/names.ts';
import { listNamespaces } from '../../src/lab/network/network.ts';
import { isBpffs } from '../../src/native.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { ask, node, pod } from './small-cluster.ts';

const HOLDER = fileURLToPath(new URL('fixtures/hold-lab.ts', import.meta.url));
const cluster = { nodes: [node(1), node(2)], pods: [pod('web', 1, 5), pod('api', 2, 5)] };

let holder: RunningCommand | undefined;

afterEach(async () => {
  holder?.kill('SIGKILL');
  await holder?.ended;
  holder = undefined;
});

/** A process with a lab. */
async function hold(how = 'wait'): Promise<{ lab: LabId; sleeper: number; held: RunningCommand }> {
  const [lab, sleeper] = await new Promise<string[]>((resolve, reject) => {
    holder = start(process.execPath, [HOLDER, how], {
      onLine: (line) => {
        if (line.startsWith('lab ')) resolve(line.split(' ').slice(1));
      },
    });
    void holder.ended.then((end) => reject(new Error(`the holder ${end}`)));
  });
  return { lab: lab as LabId, sleeper: Number(sleeper), held: holder as RunningCommand };
}

function tracesOf(lab: LabId): unknown {
  const folder = `/run/selvedge-lab/${lab}`;
  return { namespaces: listNamespaces().filter((name) => labOf(name) === lab), record: existsSync(folder) };
}

const NOTHING = { namespaces: [], record: false };

describeAsRoot('a lab that ends', () => {
  it('takes namespaces, bpffs and record with it, and touches no interface of the machine', async () => {
    const lab = await Lab.start({ cluster, backend: 'vxlan' });
    const bpffs = lab.mountBpffs();
    expect(isBpffs(bpffs)).toBe(true);
    const links = await run('ip', ['-oneline', 'link']);
    for (const { cable } of lab.namespaces) expect(links).not.toContain(cable?.port ?? 'cni0');
    await lab.probeAll([ask('web', 'api')]);
    lab.close();
    lab.close();
    expect(tracesOf(lab.id)).toEqual(NOTHING);
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(bpffs);
    await expect(lab.probeAll([])).rejects.toThrow('the lab is closed');
  });

  it('goes with a process that exits or throws', async () => {
    for (const how of ['exit', 'throw']) {
      const { lab, held } = await hold(how);
      await held.ended;
      expect(tracesOf(lab)).toEqual(NOTHING);
    }
  });

  it('is found and removed after its process was killed, and its agents with it', async () => {
    const { lab, sleeper, held } = await hold();
    expect(deadLabs()).not.toContain(lab);
    expect(existsSync(`/proc/${sleeper}`)).toBe(true);
    held.kill('SIGKILL');
    // The pipes of the holder are the sleeper's too: this waits for both.
    await held.ended;
    expect(deadLabs()).toContain(lab);
    removeLab(lab);
    expect(tracesOf(lab)).toEqual(NOTHING);
    expect(knownLabs()).not.toContain(lab);
  });

  it('leaves nothing when it cannot be started', async () => {
    const own = () => {
      const labs = listNamespaces().map((name) => [name, labOf(name)] as const);
      return labs.filter(([, lab]) => lab !== undefined && pidOf(lab) === process.pid).map(([name]) => name);
    };
    const before = own();
    const apart = [node(1, { addresses: ['172.30.0.2' as never] }), node(2, { addresses: ['fd00::3' as never] })];
    await expect(Lab.start({ cluster: { nodes: apart, pods: [] }, backend: 'vxlan' })).rejects.toThrow(
      'no address of the same',
    );
    expect(own()).toEqual(before);
  });

  it('is one of several of its process', async () => {
    const labs = await Promise.all([1, 2].map(() => Lab.start({ cluster, backend: 'host-gw' })));
    const [first, second] = labs as [Lab, Lab];
    expect(first.id).not.toBe(second.id);
    first.close();
    expect(await second.probeAll([ask('web', 'api')])).toMatchObject([{ verdict: 'allow' }]);
    second.close();
    for (const { id } of labs) expect(tracesOf(id)).toEqual(NOTHING);
  });

  it('is dead when its process number has been given out again', () => {
    const lab = claimLab();
    try {
      expect(deadLabs()).not.toContain(lab);
      writeFileSync(`/run/selvedge-lab/${lab}/owner`, '1');
      expect(deadLabs()).toContain(lab);
    } finally {
      removeLab(lab);
    }
  });
});
