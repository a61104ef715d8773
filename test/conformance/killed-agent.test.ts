/** Promise 3 by real packets: what the agent has put in force stays in force when it is killed, until it is back. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningCommand, start } from '../../src/child-process.ts';
import { Lab, type NodeInterfaces } from '../../src/lab/lab.ts';
import type { Query } from '../../src/model/query.ts';
import { parseEnd } from '../../src/model/query.ts';
import { netns } from '../../src/native.ts';
import { policy } from '../support/cases/case.ts';
import { cast } from '../support/cases/cast.ts';
import { TestCluster } from '../support/kernel/cluster.ts';
import { openStream, type Stream } from '../support/kernel/stream.ts';
import type { ClusterObject } from '../support/oracle/objects.ts';
import { describeAsRoot } from '../support/privilege.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const api = { matchLabels: { app: 'api' } };
const from = (app: string) => [{ podSelector: { matchLabels: { app } } }];

const before = [...cast, policy('shop/api', { podSelector: api, ingress: [{ from: from('web') }] })];
const after = [...cast, policy('shop/api', { podSelector: api, ingress: [{ from: from('db') }] })];

describeAsRoot('an agent that is killed', () => {
  let folder: string;
  let lab: Lab;
  let agent: LoggedAgent | undefined;
  let stream: Stream | undefined;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), `slv-${process.pid}-`));
    write(before);
    const { objects } = new TestCluster(cast);
    lab = await Lab.start({
      cluster: { nodes: objects.filter((o) => o.kind === 'Node'), pods: objects.filter((o) => o.kind === 'Pod') },
      backend: 'vxlan',
    });
  });

  afterAll(async () => {
    stream?.close();
    agent?.command.kill('SIGKILL');
    await agent?.command.ended;
    lab?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const write = (objects: readonly ClusterObject[]) =>
    writeFileSync(join(folder, 'all.yaml'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));

  const verdicts = async () => {
    const ask = (source: string): Query => {
      return { from: parseEnd(source), to: parseEnd('shop/api'), port: 8081, protocol: 'TCP' };
    };
    const outcomes = await lab.probeAll(['shop/web', 'shop/db', 'audit/web', 'audit/scan'].map(ask));
    return outcomes.map(({ verdict }) => verdict).join(' ');
  };

  it('leaves the veths of running pods enforced, and another one takes over', async () => {
    const node = lab.interfaces().find(({ node }) => node === 'node1') as NodeInterfaces;
    const pins = join(lab.mountBpffs(), 'node1');
    agent = await LoggedAgent.start({ folder, pins, node });
    expect(await verdicts()).toBe('allow deny deny deny');
    const [web, target] = ['shop/web', 'shop/api'].map((pod) => lab.stations.find(parseEnd(pod))[0]);
    stream = await openStream({ from: web, to: target, protocol: 'TCP', port: 9000, direction: 'up' } as never);

    agent.command.kill('SIGKILL');
    expect(await agent.command.ended).toBe('was ended by SIGKILL');

    expect(await verdicts()).toBe('allow deny deny deny');
    stream.send();
    await stream.arrived(2);

    // What changed while nobody looked is in force once another agent is ready; until then the old state is.
    write(after);
    expect(await verdicts()).toBe('allow deny deny deny');
    agent = await LoggedAgent.start({ folder, pins, node });
    stream.send();
    expect(await verdicts()).toBe('deny allow deny deny');
    expect(stream.received).toBe(2);
  });
});

/** An agent's process, and what its log says. */
class LoggedAgent {
  readonly command: RunningCommand;
  readonly #lines: string[] = [];
  #onLine = () => {};

  /** Resolves when it has said that it enforces for every pod of the node. */
  static async start(options: { folder: string; pins: string; node: NodeInterfaces }): Promise<LoggedAgent> {
    const agent = new LoggedAgent(options);
    const missing = () =>
      ['"event":"ready"', ...[...options.node.pods.values()].map((pod) => `enforced for ${pod}`)].filter(
        (text) => !agent.#lines.some((line) => line.includes(text)),
      );
    await new Promise<void>((resolve, reject) => {
      agent.#onLine = () => missing().length === 0 && resolve();
      void agent.command.ended.then((how) => reject(new Error(`the agent ${how}:\n${agent.#lines.join('\n')}`)));
    });
    return agent;
  }

  private constructor({ folder, pins, node }: { folder: string; pins: string; node: NodeInterfaces }) {
    const agent = [MAIN, 'agent', '--manifests', folder, '--node-name', node.node, '--pin-dir', pins, '--socket', ''];
    const onLine = (line: string) => {
      this.#lines.push(line);
      this.#onLine();
    };
    // It must not outlive a test run that is killed.
    const args = ['--pdeathsig', 'KILL', process.execPath, ...agent];
    this.command = netns.run(node.namespace, () => start('setpriv', args, { onLine }));
  }
}
