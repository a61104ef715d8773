/** The plugin alone, as the CNI specification has it: versions, environment, what it is given, what it hands on. */

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createRawServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, expect, it } from 'vitest';
import { ip, TestNamespace } from '../support/kernel/test-namespace.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { callPlugin, environmentOf, resultOf } from './support/plugin.ts';

const VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'];
const folder = mkdtempSync(join(tmpdir(), 'selvedge-cni-'));
const socket = join(folder, 'agent.sock');
let server: Server | undefined;

afterEach(() => {
  server?.close();
  server?.closeAllConnections();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** An agent, as far as the plugin sees one. */
async function listen(answer: RequestListener): Promise<void> {
  const listening = createServer(answer);
  server = listening;
  await new Promise<void>((resolve) => listening.listen(socket, resolve));
}

const somewhere = environmentOf({ pod: 'web', netns: '/run/netns/none' });
const failed = (code: number, msg: RegExp) => ({
  code: 1,
  printed: { cniVersion: '1.0.0', code, msg: expect.stringMatching(msg) },
});

it('tells its versions, with the one that it is asked by, whatever else it is given', async () => {
  const asked = { '': '1.1.0', '{}': '1.1.0', rubbish: '1.1.0', '{"cniVersion":7}': '1.1.0' };
  for (const [config, cniVersion] of Object.entries({
    ...asked,
    '{"cniVersion":"0.4.0"}': '0.4.0',
    '{"cniVersion":"9.9.9"}': '9.9.9',
  })) {
    const { code, printed } = await callPlugin({ command: 'VERSION', config });
    expect([code, printed]).toEqual([0, { cniVersion, supportedVersions: VERSIONS }]);
  }
});

it('a version that it does not know is refused by its code, with those that it knows', async () => {
  for (const cniVersion of ['0.2.0', '0.3.0', '1.2.0', '2.0.0']) {
    const { code, printed } = await callPlugin({ command: 'ADD', config: { cniVersion }, environment: somewhere });
    expect([code, printed]).toMatchObject([1, { code: 1, msg: expect.stringContaining(cniVersion) }]);
  }
});

it('what is not a pod of Kubernetes passes with what came before, in every version', async () => {
  for (const cniVersion of VERSIONS) {
    const prevResult = resultOf('10.66.0.9', 'veth9', '/run/netns/none', cniVersion);
    const environment = { ...somewhere, CNI_ARGS: '' };
    const { code, printed } = await callPlugin({
      command: 'ADD',
      config: { cniVersion, socket, prevResult },
      environment,
    });
    expect([code, printed]).toEqual([0, prevResult]);
  }
});

it('DEL and GC never fail for want of an agent', async () => {
  expect(await callPlugin({ command: 'DEL', config: { socket }, environment: somewhere })).toMatchObject({
    code: 0,
    printed: undefined,
  });
  const config = { cniVersion: '1.1.0', socket, 'cni.dev/valid-attachments': [{ containerID: 'a', ifname: 'eth0' }] };
  expect(await callPlugin({ command: 'GC', config })).toMatchObject({ code: 0, printed: undefined });
});

it.each([
  ['nothing', ''],
  ['rubbish', 'rubbish'],
  ['half a line', 'HTTP/1.1 200'],
  ['more than any agent', `HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(100_000)}`],
])('what answers %s on the socket is taken for no agent', async (_, answer) => {
  const rubbish = createRawServer((connection) => void connection.on('error', () => {}).end(answer));
  await new Promise<void>((resolve) => rubbish.listen(socket, resolve));
  const config = { cniVersion: '1.1.0', socket };
  const { code, printed } = await callPlugin({ command: 'STATUS', config });
  rubbish.close();
  expect([code, printed]).toMatchObject([1, { code: 50, msg: expect.stringContaining('selvedge: ') }]);
});

it('an agent that says nothing is not waited for for ever', async () => {
  const silent = createRawServer((connection) => void connection.on('error', () => {}).resume());
  await new Promise<void>((resolve) => silent.listen(socket, resolve));
  const config = { cniVersion: '1.1.0', socket, timeout: 0.1 };
  const { code, printed } = await callPlugin({ command: 'STATUS', config });
  silent.close();
  expect([code, printed]).toMatchObject([1, { msg: 'selvedge: the agent gave no answer in time' }]);
});

/** [0.3.1, 0.4.0, 1.0.0, 1.1.0]: whether the specification of that version has the command. */
const KNOWN = {
  DEL: [true, true, true, true],
  CHECK: [false, true, true, true],
  STATUS: [false, false, false, true],
  GC: [false, false, false, true],
} as const;

it.each(VERSIONS)('each command of version %s, and an error for those that came later', async (cniVersion) => {
  await listen((_, response) => response.end('{}'));
  const prevResult = resultOf('10.66.0.9', 'veth9', '/run/netns/none', cniVersion);
  // Not of Kubernetes, so that CHECK does not look for a veth.
  const environment = { ...somewhere, CNI_ARGS: '' };
  for (const [command, known] of Object.entries(KNOWN)) {
    const config = { cniVersion, socket, prevResult, 'cni.dev/valid-attachments': null };
    const { code, printed } = await callPlugin({ command, config, environment });
    if (known[VERSIONS.indexOf(cniVersion)]) expect([command, code, printed]).toEqual([command, 0, undefined]);
    else
      expect([command, code, printed]).toMatchObject([
        command,
        1,
        { cniVersion, code: 1, msg: expect.stringContaining(command) },
      ]);
  }
});

it('what the agent refuses is told in its words, by the code that says what to do', async () => {
  await listen((_, response) => {
    response.statusCode = 503;
    response.end(JSON.stringify({ error: { code: 'NOT_READY', message: 'no state is in force yet' } }));
  });
  const call = (more: object) => callPlugin({ command: 'STATUS', config: { cniVersion: '1.1.0', socket, ...more } });
  const refused = await call({});
  expect([refused.code, refused.printed]).toEqual([
    1,
    { cniVersion: '1.1.0', code: 50, msg: 'selvedge: no state is in force yet' },
  ]);
  expect(await call({ onAgentDown: 'open' })).toMatchObject({ code: 0, printed: undefined });
});

it('an agent that has as many connections as it takes is asked again', async () => {
  let dropped = 0;
  const busy = createRawServer((connection) => {
    connection.on('error', () => {});
    if (dropped++ < 3) connection.destroy();
    else connection.end('HTTP/1.1 200 OK\r\n\r\n{}');
  });
  await new Promise<void>((resolve) => busy.listen(socket, resolve));
  const { code } = await callPlugin({ command: 'STATUS', config: { cniVersion: '1.1.0', socket } });
  busy.close();
  expect([code, dropped]).toEqual([0, 4]);
});

describeAsRoot('of a veth', () => {
  it('the agent is told the node’s end, the pod’s own addresses of both families, and whose they are', async () => {
    using node = disposable(new TestNamespace('cni', ['veth7']));
    using pod = disposable(new TestNamespace('cnipod', []));
    node.it.run(() => ip(['link', 'add', 'veth9', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod.it.name]));
    const asked: unknown[] = [];
    await listen(async (request, response) => {
      asked.push([request.method, request.url, JSON.parse(await text(request))]);
      response.end('{}');
    });
    const netns = `/run/netns/${pod.it.name}`;
    const prevResult = {
      ...resultOf('10.66.0.9', 'veth9', netns),
      ips: [
        { interface: 2, address: '10.66.0.9/24' },
        { address: 'fd00::9/64' },
        // Of the bridge, and of nobody.
        { interface: 0, address: '10.66.0.1/24' },
        { interface: 9, address: 'rubbish' },
      ],
    };
    const environment = environmentOf({ pod: 'web', netns, container: 'abc', uid: 'u-web' });
    const { code } = await callPlugin({
      namespace: node.it.name,
      command: 'ADD',
      config: { socket, timeout: 1.5, prevResult },
      environment,
    });
    expect(code).toBe(0);
    const question = {
      namespace: 'shop',
      pod: 'web',
      uid: 'u-web',
      containerId: 'abc',
      timeout: 1500,
      ifindex: node.it.run(() => Number(ip(['-o', 'link', 'show', 'veth9']).split(':')[0])),
      ifname: 'veth9',
      addresses: ['10.66.0.9', 'fd00::9', 'rubbish'],
    };
    expect(asked).toEqual([['POST', '/v1/cni/add', question]]);
  });

  it('an interface that is none is an error, and so is one whose other end is not the node’s', async () => {
    using node = disposable(new TestNamespace('cni', []));
    using pod = disposable(new TestNamespace('cnipod', []));
    const netns = `/run/netns/${pod.it.name}`;
    const prevResult = resultOf('10.66.0.9', 'veth9', netns);
    const environment = environmentOf({ pod: 'web', netns });
    const call = () =>
      callPlugin({
        namespace: node.it.name,
        command: 'ADD',
        config: { cniVersion: '1.0.0', socket, prevResult },
        environment,
      });
    expect(await call()).toMatchObject(failed(5, /RTM_GETLINK eth0: No such device/));
    pod.it.run(() => ip(['link', 'add', 'eth0', 'type', 'bridge']));
    expect(await call()).toMatchObject(failed(7, /is no veth whose other end is the node's/));
  });
});

function disposable(namespace: TestNamespace) {
  return { it: namespace, [Symbol.dispose]: () => namespace.close() };
}
