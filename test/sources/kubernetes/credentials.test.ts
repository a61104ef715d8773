import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asyncScheduler } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { ApiConnection } from '../../../src/sources/kubernetes/api-connection.ts';
import { type Credentials, serviceAccount } from '../../../src/sources/kubernetes/credentials.ts';
import { ApiServer } from '../../support/api-server/api-server.ts';
import { Authority } from '../../support/api-server/certificates.ts';
import { Follower } from './follower.ts';
import { smallCluster } from './objects.ts';

const authority = new Authority('the cluster');
const serverCertificate = authority.issue({ commonName: 'apiserver', hosts: ['127.0.0.1'] });

class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'selvedge-credentials-'));

  write(name: string, text: string): string {
    writeFileSync(join(this.path, name), text);
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

describe('a kubeconfig', () => {
  it('with a token', async () => {
    await using server = await ApiServer.listen({ tls: serverCertificate, tokens: ['good'] });
    server.put(...smallCluster());
    using follower = new Follower(server, { access: { authority: authority.certificate, token: 'good' } });
    await follower.synced();
    expect(follower.notices).toEqual([]);
  });

  it('with a client certificate', async () => {
    const clients = new Authority('the clients');
    const tls = { ...serverCertificate, clientAuthority: clients.certificate };
    await using server = await ApiServer.listen({ tls });
    server.put(...smallCluster());
    server.gate.forbid('nodes', 'watch');
    const client = clients.issue({ commonName: 'selvedge@node1' });
    using follower = new Follower(server, { access: { authority: authority.certificate, client } });
    await follower.until(({ notices }) => notices.length > 0);
    expect(follower.notices[0]?.message).toContain('User "selvedge@node1" cannot watch resource "nodes"');
    server.gate.allow('nodes', 'watch');
    await follower.synced();
  });

  it('with an exec plugin, which is run again when its token is no longer accepted', async () => {
    using folder = new Folder();
    const credential = (token: string) =>
      folder.write(
        'credential',
        JSON.stringify({ kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1', status: { token } }),
      );
    const exec = { command: 'cat', args: [credential('first')] };
    await using server = await ApiServer.listen({ tls: serverCertificate, tokens: ['first'] });
    server.put(...smallCluster());
    using follower = new Follower(server, { access: { authority: authority.certificate, exec } });
    await follower.synced();
    server.gate.tokens.delete('first');
    server.cutAll();
    await follower.until(({ warnings }) => warnings.length === 1);
    server.gate.tokens.add('second');
    credential('second');
    await follower.until(({ warnings }) => warnings.length === 0);
    expect(server.requests.at(-1)?.authorization).toBe('Bearer second');
  });

  it('that is replaced is read anew when its token is no longer accepted', async () => {
    await using server = await ApiServer.listen({ tls: serverCertificate, tokens: ['first'] });
    server.put(...smallCluster());
    using follower = new Follower(server, { access: { authority: authority.certificate, token: 'first' } });
    await follower.synced();
    server.gate.tokens.delete('first');
    server.cutAll();
    await follower.until(({ warnings }) => warnings.length === 1);
    expect(follower.warnings[0]).toContain('the credentials are not accepted (Unauthorized)');
    expect(follower.last?.synced).toBe(true);
    server.gate.tokens.add('second');
    follower.kubeconfig.write({ server: server.url, authority: authority.certificate, token: 'second' });
    await follower.until(({ warnings }) => warnings.length === 0);
    expect(follower.notices.map(({ type, code }) => `${type} ${code}`)).toEqual([
      'fault UNAUTHORIZED',
      'recovered UNAUTHORIZED',
    ]);
  });

  it('that is not there, or makes no sense, is awaited', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using folder = new Folder();
    const path = join(folder.path, 'late');
    using follower = new Follower(server, { kubeconfig: path });
    await follower.until(({ warnings }) => warnings.length === 1);
    expect(follower.warnings[0]).toMatch(/^API server: no credentials \(ENOENT.*late'\): check the kubeconfig/);
    folder.write('late', 'contexts: []');
    await follower.until(({ warnings }) => warnings.some((text) => text.includes('no credentials')));
    folder.write('late', follower.kubeconfig.text);
    await follower.synced();
  });

  it.each([
    ['an authority', { authority: 'no certificate' }],
    ['a token', { token: 'two\nlines' }],
    ['a client certificate', { client: { certificate: 'none', key: 'none' } }],
  ])('with %s that makes no sense is said', async (_, access) => {
    await using server = await ApiServer.listen({ tls: serverCertificate });
    using follower = new Follower(server, { access: { authority: authority.certificate, ...access } });
    await follower.until(({ warnings }) => warnings.length === 1);
    expect(follower.warnings[0]).toMatch(/: no (credentials|trusted connection) \(/);
    expect(follower.notices).toHaveLength(1);
  });

  it('names no such context', async () => {
    await using server = await ApiServer.listen();
    using follower = new Follower(server, { context: 'production' });
    await follower.until(({ warnings }) => warnings.length === 1);
    expect(follower.warnings[0]).toContain('no cluster for context "production"');
  });
});

describe('a certificate of the server', () => {
  it.each([
    [
      'by another authority',
      new Authority('the cluster').issue({ commonName: 'x', hosts: ['127.0.0.1'] }),
      'unable to verify|self.signed|signature',
    ],
    [
      'for another address',
      authority.issue({ commonName: 'x', hosts: ['192.0.2.9'] }),
      "does not match certificate's altnames",
    ],
    [
      'that has ended',
      authority.issue({ commonName: 'x', hosts: ['127.0.0.1'], endsIn: -86_400_000 }),
      'certificate has expired',
    ],
  ])('%s is not trusted, and that is said', async (_, tls, words) => {
    await using server = await ApiServer.listen({ tls });
    using follower = new Follower(server, { access: { authority: authority.certificate } });
    await follower.until(({ warnings }) => warnings.length === 1);
    expect(follower.warnings[0]).toMatch(new RegExp(`no trusted connection \\(.*(${words})`));
    expect(follower.notices.map(({ code }) => code)).toEqual(['CERTIFICATE']);
    expect(server.requests).toEqual([]);
  });

  it('is missing: the server speaks no TLS', async () => {
    await using server = await ApiServer.listen();
    using follower = new Follower(
      { url: server.url.replace('http:', 'https:') },
      { access: { authority: authority.certificate } },
    );
    await follower.until(({ warnings }) => warnings.length === 1);
    expect(follower.warnings[0]).toContain('no trusted connection (');
  });
});

describe("a pod's service account", () => {
  it('gives the token as it is now at each request', async () => {
    using folder = new Folder();
    await using server = await ApiServer.listen({ tls: serverCertificate, tokens: ['first', 'second'] });
    folder.write('ca.crt', authority.certificate);
    folder.write('token', 'first\n');
    const account = serviceAccount('127.0.0.1', new URL(server.url).port, folder.path);
    using connection = connected(account);
    await connection.get('/api/v1/pods', {}, AbortSignal.timeout(10_000)).then((response) => response.destroy());
    folder.write('token', 'second\n');
    await connection.get('/api/v1/pods', {}, AbortSignal.timeout(10_000)).then((response) => response.destroy());
    expect(server.requests.map(({ authorization }) => authorization)).toEqual(['Bearer first', 'Bearer second']);
  });

  it('that is not mounted is said', async () => {
    using folder = new Folder();
    using connection = connected(serviceAccount('::1', '443', join(folder.path, 'none')));
    await expect(connection.get('/api/v1/pods', {}, AbortSignal.timeout(10_000))).rejects.toMatchObject({
      code: 'CREDENTIALS',
    });
    expect(connection.server).toBe('https://[::1]:443');
  });
});

function connected(credentials: Credentials): ApiConnection & Disposable {
  const connection = new ApiConnection({
    load: async () => credentials,
    scheduler: asyncScheduler,
    credentialsWithin: 10_000,
    answerWithin: 10_000,
  });
  return Object.assign(connection, { [Symbol.dispose]: () => connection.close() });
}
