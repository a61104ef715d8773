/**
 * `npm run bench:scale`: a large cluster on the test API server, one node's agent with real veths and the real kernel, and
 * the time and memory that it takes. Prints a table; `--out FILE` writes JSON. Needs root.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cleanupBpfDataplane } from '../src/dataplane/bpf/open.ts';
import type { AgentAnswers } from './scale/agent.ts';
import { Child, now } from './scale/child.ts';
import { type ClusterSize, localAddress, NODE } from './scale/cluster.ts';
import { type Figure, table } from './scale/figures.ts';
import { NodeNamespace } from './scale/node-namespace.ts';
import { localPods, singleEvents, streams } from './scale/scenarios.ts';
import type { ServerAnswers } from './scale/server.ts';

const MEGABYTE = 2 ** 20;
/** Pods that start on the node while the agent runs. */
const STARTS = 30;
const { values } = parseArgs({
  options: {
    pods: { type: 'string', default: '100000' },
    namespaces: { type: 'string', default: '5000' },
    policies: { type: 'string', default: '10000' },
    local: { type: 'string', default: '110' },
    families: { type: 'string', default: '4' },
    times: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '20' },
    /** Of the agent's Node; those of bin/selvedge by default. */
    flag: { type: 'string', multiple: true, default: ['--max-semi-space-size=4', '--heap-growing-percent=15'] },
    /** A folder for CPU profiles of the agent, one for each part. */
    profile: { type: 'string' },
    out: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`npm run bench:scale -- [options], as root

  --pods, --namespaces, --policies NUMBER   of the cluster (100000, 5000, 10000)
  --local NUMBER      pods of the node (110)
  --families 4|6|46   of every pod's addresses (4)
  --times NUMBER      single events of each kind (200)
  --seconds NUMBER    of each stream (20)
  --flag FLAG         of the agent's Node, may be repeated (those of bin/selvedge)
  --profile FOLDER    keeps a CPU profile of each part
  --out FILE          writes the figures as JSON`);
  process.exit();
}
const size: ClusterSize = {
  pods: Number(values.pods),
  namespaces: Number(values.namespaces),
  policies: Number(values.policies),
  local: Number(values.local),
  families: [...values.families].map((family) => (family === '6' ? 6 : 4)),
};

async function start(agent: Child<AgentAnswers>, begun: number, title: string): Promise<Figure[]> {
  const options = {
    node: NODE,
    directory: node.directory,
    endpoints: size.local,
    profile: values.profile !== undefined,
  };
  const { loaded, synced, inForce, writes } = await agent.ask('start', options);
  const { resident, peak, heap } = await agent.ask('use');
  await agent.ask('settled');
  const settled = await agent.ask('use');
  return [
    { name: `${title}: programs loaded`, value: (loaded - begun) / 1000, unit: 's' },
    { name: `${title}: all objects parsed`, value: (synced - begun) / 1000, unit: 's' },
    { name: `${title}: in force`, value: (inForce - begun) / 1000, unit: 's', limit: 15 },
    { name: `${title}: writes`, value: writes, unit: '' },
    { name: `${title}: CPU`, value: settled.cpu / 1000, unit: 's' },
    { name: `${title}: resident when in force`, value: resident / MEGABYTE, unit: 'MB' },
    { name: `${title}: heap in use when in force`, value: heap / MEGABYTE, unit: 'MB' },
    { name: `${title}: peak`, value: peak / MEGABYTE, unit: 'MB' },
  ];
}

/** Interfaces of pods, from this number on; the API server knows only the first `size.local`. */
function addPods(first: number, count: number): void {
  node.addPods(Array.from({ length: count }, (_, i) => size.families.map((family) => localAddress(first + i, family))));
}

async function profile(agent: Child<AgentAnswers>, part: string): Promise<void> {
  if (values.profile !== undefined) await agent.ask('profile', `${values.profile}/${part}.cpuprofile`);
}

const loadBefore = loadavg()[1];
const figures: Figure[] = [];
const add = (more: readonly Figure[]) => {
  figures.push(...more);
  console.log(table(more));
};
if (values.profile !== undefined) mkdirSync(values.profile, { recursive: true });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const folder = mkdtempSync(join(tmpdir(), 'selvedge-scale-'));
using node = new NodeNamespace();
try {
  node.addPods(Array.from({ length: size.local }, (_, i) => size.families.map((family) => localAddress(i, family))));
  await using server = new Child<ServerAnswers>('./server.ts', { namespace: node.name });
  const { host, port, bytes, ...secrets } = await server.ask('fill', size);
  console.log(`${(bytes / MEGABYTE).toFixed(0)} MB of objects`);
  for (const [name, text] of Object.entries(secrets)) writeFileSync(join(folder, name), text);
  const options = { namespace: node.name, flags: values.flag, account: { host, port, folder } };
  {
    const begun = now();
    await using agent = new Child<AgentAnswers>('./agent.ts', options);
    add(await start(agent, begun, 'cold start'));
    const bench = { server, agent, size, times: Number(values.times), seconds: Number(values.seconds) };
    await profile(agent, 'cold-start');
    add(await singleEvents(bench));
    await profile(agent, 'single-events');
    addPods(size.local, STARTS);
    add(await localPods(bench, STARTS));
    await profile(agent, 'local-pods');
    add(await streams(bench, (part) => profile(agent, part)));
    const { resident, peak } = await agent.ask('use');
    add([
      { name: 'resident at the end', value: resident / MEGABYTE, unit: 'MB', limit: 300 },
      { name: 'peak', value: peak / MEGABYTE, unit: 'MB' },
    ]);
  }
  const begun = now();
  await using agent = new Child<AgentAnswers>('./agent.ts', options);
  add(await start(agent, begun, 'restart'));
} finally {
  rmSync(folder, { recursive: true, force: true });
  await cleanupBpfDataplane(node.directory).catch((error: unknown) => console.error(error));
}
console.log(`\n${table(figures)}`);
if (values.out !== undefined) {
  const machine = { cores: cpus().length, memory: totalmem(), kernel: release(), load: [loadBefore, loadavg()[1]] };
  writeFileSync(values.out, `${JSON.stringify({ size, machine, figures }, null, 2)}\n`);
}
