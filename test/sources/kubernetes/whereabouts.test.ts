// Which credentials are taken where nobody or somebody says which, and the way to the server through a proxy.
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadCredentials } from '../../../src/sources/kubernetes/credentials.ts';
import { ApiServer } from '../../support/api-server/api-server.ts';
import { Authority } from '../../support/api-server/certificates.ts';
import { Kubeconfig } from '../../support/api-server/kubeconfig.ts';
import { Follower } from './follower.ts';
import { smallCluster } from './objects.ts';

describe('the credentials', () => {
  const NAMED = 'https://192.0.2.1:6443';
  const IN_VARIABLE = 'https://192.0.2.2:6443';
  const AT_HOME = 'https://192.0.2.3:6443';
  const IN_CLUSTER = 'https://10.96.0.1:443';
  let named: Kubeconfig;
  let inVariable: Kubeconfig;
  let home: Kubeconfig;

  beforeEach(() => {
    [named, inVariable, home] = [NAMED, IN_VARIABLE, AT_HOME].map((server) => new Kubeconfig({ server })) as [
      Kubeconfig,
      Kubeconfig,
      Kubeconfig,
    ];
    for (const name of ['KUBECONFIG', 'KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT'])
      vi.stubEnv(name, undefined);
    vi.stubEnv('HOME', home.folder);
  });

  afterEach(() => {
    vi.unstubAllEnvs();
    for (const one of [named, inVariable, home]) one[Symbol.dispose]();
  });

  const inPod = () => {
    vi.stubEnv('KUBERNETES_SERVICE_HOST', '10.96.0.1');
    vi.stubEnv('KUBERNETES_SERVICE_PORT', '443');
  };
  const atHome = () => {
    mkdirSync(join(home.folder, '.kube'));
    writeFileSync(join(home.folder, '.kube', 'config'), home.text);
  };
  const server = async (whereabouts = {}) => (await loadCredentials(whereabouts)).server;

  it('are those of the kubeconfig that is named, before all others', async () => {
    inPod();
    atHome();
    vi.stubEnv('KUBECONFIG', inVariable.path);
    expect(await server({ kubeconfig: named.path })).toBe(NAMED);
  });

  it('are those of KUBECONFIG, also in a pod', async () => {
    inPod();
    atHome();
    vi.stubEnv('KUBECONFIG', inVariable.path);
    expect(await server()).toBe(IN_VARIABLE);
  });

  it('are those of the pod’s service account, before ~/.kube/config', async () => {
    inPod();
    atHome();
    expect(await server()).toBe(IN_CLUSTER);
  });

  it('are those of ~/.kube/config, also in a pod where a context is named', async () => {
    atHome();
    expect(await server()).toBe(AT_HOME);
    inPod();
    expect(await server({ context: 'test' })).toBe(AT_HOME);
  });

  it('are missing where nobody has left any', async () => {
    await expect(server()).rejects.toMatchObject({
      code: 'CREDENTIALS',
      message: expect.stringContaining('neither --kubeconfig nor KUBECONFIG'),
    });
  });
});

it('a proxy between is gone through, and the server is trusted for itself', async () => {
  const authority = new Authority('the cluster');
  const tls = authority.issue({ commonName: 'apiserver', hosts: ['127.0.0.1'] });
  await using server = await ApiServer.listen({ tls, tokens: ['good'] });
  server.put(...smallCluster());
  const asked: (string | undefined)[] = [];
  const proxy = createServer().on('connect', ({ url }, socket) => {
    asked.push(url);
    const [host, port] = String(url).split(':');
    const onward = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    for (const end of [onward, socket]) end.on('error', () => onward.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const { port } = proxy.address() as AddressInfo;
  {
    const access = { authority: authority.certificate, token: 'good', proxy: `http://127.0.0.1:${port}` };
    using follower = new Follower(server, { access });
    await follower.synced();
    expect(follower.notices).toEqual([]);
  }
  expect(new Set(asked)).toEqual(new Set([new URL(server.url).host]));
  proxy.closeAllConnections();
  proxy.close();
});
