// Agents beside the nodes of a lab: the real agent's log and life, over a data plane that only remembers.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { firstValueFrom } from 'rxjs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Agents } from '../../src/lab/agents/agents.ts';
import { type ClusterView, ClusterViews } from '../../src/lab/cluster-view.ts';
import { Lab } from '../../src/lab/lab.ts';
import { directorySource } from '../../src/sources/directory/directory-source.ts';
import { describeAsRoot } from '../support/privilege.ts';

const script = fileURLToPath(new URL('fixtures/memory-agent.ts', import.meta.url));
let folder: string;
let lab: Lab | undefined;
let agents: Agents | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'selvedge-agents-'));
});

afterEach(async () => {
  await agents?.stop();
  lab?.close();
  lab = agents = undefined;
  rmSync(folder, { recursive: true });
});

/** Writes pods as `name node`, and reads what came of it. */
async function write(pods: readonly string[], file = 'cluster.yaml'): Promise<ClusterView> {
  const documents = pods.map((pod) => {
    const [name, node] = pod.split(' ');
    const metadata = { name, namespace: 'shop' };
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: { nodeName: node, containers: [{ name }] },
    });
  });
  writeFileSync(join(folder, file), documents.join('\n---\n'));
  return new ClusterViews().next(await firstValueFrom(directorySource([folder])));
}

async function begin(view: ClusterView, patience = 20_000): Promise<{ lab: Lab; agents: Agents }> {
  lab = await Lab.start({ cluster: view.cluster, backend: 'vxlan' });
  agents = new Agents({ manifests: [folder], pinDir: '/sys/fs/bpf/unused', script, patience });
  await agents.follow(lab.interfaces());
  return { lab, agents };
}

/** Of a process; nothing of one that has gone. */
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

describeAsRoot('the agents of a lab', () => {
  it('settle once every node has the manifests and all its pods’ interfaces', async () => {
    const first = await write(['web node1', 'api node2']);
    const { lab, agents } = await begin(first);
    await agents.settled(first.revision);
    const second = await write(['web node1', 'api node2', 'late node2']);
    const waiting = agents.settled(second.revision);
    await lab.update(second.cluster);
    await agents.follow(lab.interfaces());
    await waiting;
    await agents.settled(second.revision);
  });

  it('come and go with nodes', async () => {
    const first = await write(['web node1']);
    const { lab, agents } = await begin(first);
    await agents.settled(first.revision);
    const second = await write(['web node1', 'api node2']);
    await lab.update(second.cluster);
    await agents.follow(lab.interfaces());
    await agents.settled(second.revision);
    const [node1, node2] = lab.interfaces();
    expect(agents.pinDirOf(node1?.namespace ?? '')).not.toBe(agents.pinDirOf(node2?.namespace ?? ''));
    const third = await write(['api node2']);
    await lab.update(third.cluster);
    await agents.follow(lab.interfaces());
    await agents.settled(third.revision);
    expect(() => agents.pinDirOf(node1?.namespace ?? '')).toThrow('no agent runs');
  });

  it('are not waited for beyond patience: what is missing is named', async () => {
    const view = await write(['web node1']);
    const { agents } = await begin(view, 1_500);
    await expect(agents.settled('some other revision')).rejects.toThrow(
      /not in force: node1 is (not ready|at revision)/,
    );
  });

  it('tell their last words when they end unasked, and are started again', async () => {
    const view = await write(['web node1']);
    lab = await Lab.start({ cluster: view.cluster, backend: 'vxlan' });
    agents = new Agents({ manifests: ['/broken'], pinDir: '/sys/fs/bpf/unused', script });
    await agents.follow(lab.interfaces());
    await expect(agents.settled(undefined)).rejects.toThrow(/agent of node1 exited with 1:.*on purpose/s);
    await agents.follow(lab.interfaces());
    await expect(agents.settled(undefined)).rejects.toThrow('on purpose');
  });

  it('are started again when they are killed, and that is told', async () => {
    const view = await write(['web node1']);
    lab = await Lab.start({ cluster: view.cluster, backend: 'vxlan' });
    const pinDir = `/sys/fs/bpf/killed-${process.pid}`;
    const told = Promise.withResolvers<string>();
    agents = new Agents({ manifests: [folder], pinDir, script, onLost: told.resolve });
    await agents.follow(lab.interfaces());
    await agents.settled(view.revision);
    const agent = readdirSync('/proc').find((name) => /^\d+$/.test(name) && commandOf(name).includes(`${pinDir}/`));
    process.kill(Number(agent), 'SIGKILL');
    expect(await told.promise).toBe(
      'the agent of node1 was ended by SIGKILL; what it put in force stays; started again',
    );
    await agents.settled(view.revision);
  });

  it('are left no longer than they are wanted', async () => {
    const view = await write(['web node1']);
    const { agents } = await begin(view);
    const controller = new AbortController();
    const waiting = agents.settled('never', controller.signal);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await agents.stop();
    await agents.stop();
  });
});
