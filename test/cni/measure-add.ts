/**
 * How long our plugin's ADD takes on a Flannel node: `node test/cni/measure-add.ts [ADDS] [PAUSE_MS]`, as root. Pods come
 * one by one beside one that stays, each isolated by a policy of its own: the reference plugins' ADDs, then ours, timed.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { runSync } from '../../src/child-process.ts';
import { CniRuntime, hostEndOf } from '../../src/lab/network/cni-runtime.ts';
import { FLANNEL_LIST } from '../../src/lab/network/cni-wiring.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import { FedNode } from '../agent/support/fed-node.ts';
import { policy } from '../sources/kubernetes/objects.ts';
import { callPlugin, environmentOf } from './support/plugin.ts';

const SUBNET_ENV = 'FLANNEL_NETWORK=10.66.0.0/16\nFLANNEL_SUBNET=10.66.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n';

const [adds = 200, pauseMs = 100] = process.argv.slice(2).map(Number);
const folder = mkdtempSync(join(tmpdir(), 'selvedge-cni-'));
const socket = join(folder, 'agent.sock');
const subnetEnv = join(folder, 'subnet.env');
const dataDir = join(folder, 'ipam');
writeFileSync(subnetEnv, SUBNET_ENV);
mkdirSync(dataDir);

await using fed = await FedNode.start();
const { namespace } = fed.node;
const runtime = new CniRuntime({ namespace, list: FLANNEL_LIST, subnetEnv, dataDir });
const agent = fed.agent({ args: ['--socket', socket, '--pending', 'closed', '--health-address', ''] });
fed.start('stays', '10.66.0.250');
await agent.enforced('stays');

const others: number[] = [];
const ours: number[] = [];
const processes: number[] = [];
for (let place = 0; place < adds; place++) {
  const name = `quick${place}`;
  fed.server.put(
    policy('shop', name, { podSelector: { matchLabels: { app: name } }, policyTypes: ['Ingress', 'Egress'] }),
  );
  fed.record(name);
  // A kubelet makes the sandbox some tenths of a second after it, and the agent, have seen the pod.
  await pause(pauseMs);
  processes.push((await callPlugin({ command: 'VERSION', config: {} })).milliseconds);
  await withSandbox(name);
  fed.server.delete('Pod', `shop/${name}`);
}
rmSync(folder, { recursive: true });
const all = others.map((milliseconds, place) => milliseconds + (ours[place] as number));
console.log(`${adds} ADDs, ${pauseMs} ms between them`);
console.log(`without (bridge, host-local, portmap and loopback): ${figuresOf(others)}`);
console.log(`with selvedge-cni behind them: ${figuresOf(all)}`);
console.log(`selvedge-cni: ${figuresOf(ours)}`);
console.log(`of that its process alone (VERSION): ${figuresOf(processes)}`);

async function withSandbox(name: string): Promise<void> {
  const sandbox = { namespace: `${namespace}-${name}`, pod: `shop/${name}` as ObjectKey };
  runSync('ip', ['netns', 'add', sandbox.namespace]);
  try {
    const began = performance.now();
    const prevResult = await runtime.add(sandbox);
    others.push(performance.now() - began);
    const { code, printed, milliseconds } = await callPlugin({
      namespace,
      command: 'ADD',
      config: { cniVersion: '0.3.1', name: 'cbr0', socket, timeout: 5, prevResult },
      environment: environmentOf({ pod: name, netns: `/run/netns/${sandbox.namespace}` }),
    });
    if (code !== 0) throw new Error(`ADD of ${name} at ${hostEndOf(prevResult)}: ${JSON.stringify(printed)}`);
    ours.push(milliseconds);
    await runtime.remove(sandbox);
  } finally {
    runSync('ip', ['netns', 'del', sandbox.namespace]);
  }
}

function figuresOf(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] as number).toFixed(1);
  return `median ${at(0.5)} ms, 90 % ${at(0.9)} ms, 99 % ${at(0.99)} ms, longest ${at(1)} ms`;
}
