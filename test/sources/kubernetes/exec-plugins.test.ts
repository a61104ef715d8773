// Credentials by exec plugins, as the client runs them: what they give, how long it holds, and what they do instead.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ApiServer } from '../../support/api-server/api-server.ts';
import { Authority } from '../../support/api-server/certificates.ts';
import { Clock } from './clock.ts';
import { Follower } from './follower.ts';
import { smallCluster } from './objects.ts';

const authority = new Authority('the cluster');
const serverCertificate = authority.issue({ commonName: 'apiserver', hosts: ['127.0.0.1'] });
const PLUGIN_MS = 60_000;

function credential(status: object): string {
  return JSON.stringify({ kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1', status });
}

class Plugin implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'selvedge-plugin-'));
  readonly answer = join(this.folder, 'answer');
  readonly runs = join(this.folder, 'runs');

  constructor(text = '') {
    writeFileSync(this.runs, '');
    this.gives(text);
  }

  gives(text: string): void {
    writeFileSync(this.answer, text);
  }

  /** Answers once somebody writes into it. */
  static thatWaits(): Plugin {
    const plugin = new Plugin();
    rmSync(plugin.answer);
    execFileSync('mkfifo', [plugin.answer]);
    return plugin;
  }

  get access() {
    const script = `echo run >> ${this.runs}; cat ${this.answer}`;
    return { authority: authority.certificate, exec: { command: 'sh', args: ['-c', script] } };
  }

  get count(): number {
    return readFileSync(this.runs, 'utf8').split('\n').length - 1;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

describe('an exec plugin', () => {
  it('is run once for all kinds, and again when what it gave has ended, which nobody notices', async () => {
    const token = (name: string, ends: number) =>
      credential({ token: name, expirationTimestamp: new Date(Date.now() + ends).toISOString() });
    using plugin = new Plugin(token('first', 3_600_000));
    await using server = await ApiServer.listen({ tls: serverCertificate, tokens: ['first', 'second'] });
    server.put(...smallCluster());
    {
      using follower = new Follower(server, { access: plugin.access });
      await follower.synced();
      expect(plugin.count).toBe(1);
    }
    // Has ended before it is used again.
    plugin.gives(token('first', -1_000));
    using follower = new Follower(server, { access: plugin.access });
    await follower.synced();
    plugin.gives(token('second', -1_000));
    server.gate.tokens.delete('first');
    for (const watch of server.watches('pods')) watch.cut();
    await expect.poll(() => server.requests.at(-1)?.authorization).toBe('Bearer second');
    expect(follower.notices).toEqual([]);
  });

  it('may give a client certificate', async () => {
    const clients = new Authority('the clients');
    const client = clients.issue({ commonName: 'selvedge@node1' });
    using plugin = new Plugin(credential({ clientCertificateData: client.certificate, clientKeyData: client.key }));
    const tls = { ...serverCertificate, clientAuthority: clients.certificate };
    await using server = await ApiServer.listen({ tls });
    server.put(...smallCluster());
    server.gate.forbid('nodes', 'watch');
    using follower = new Follower(server, { access: plugin.access });
    await follower.until(({ notices }) => notices.length > 0);
    expect(follower.notices[0]?.message).toContain('User "selvedge@node1" cannot watch resource "nodes"');
  });

  it.each([
    ['is not there', { command: '/nowhere/plugin', args: [] }, 'ENOENT'],
    ['fails', { command: 'sh', args: ['-c', 'echo please log in >&2; exit 1'] }, 'please log in'],
    ['fails without a word', { command: 'false', args: [] }, 'it failed without a word'],
    ['gives rubbish', { command: 'echo', args: ['<html>'] }, 'JSON'],
    ['gives nothing', { command: 'true', args: [] }, 'JSON'],
    [
      'gives a credential without a status',
      { command: 'echo', args: ['{"kind":"ExecCredential"}'] },
      'no credential: ',
    ],
  ])('that %s is said once, and run again until it does', async (_, exec, words) => {
    await using server = await ApiServer.listen({ tls: serverCertificate, tokens: ['good'] });
    server.put(...smallCluster());
    using follower = new Follower(server, { access: { authority: authority.certificate, exec } });
    await follower.until(({ warnings }) => warnings.length === 1);
    expect(follower.warnings[0]).toMatch(/^API server.*: no credentials \(.*\): check the kubeconfig.*exec plugin/s);
    expect(follower.warnings[0]).toContain(words);
    const mended = { command: 'echo', args: [credential({ token: 'good' })] };
    follower.kubeconfig.write({ exec: mended });
    await follower.synced();
    await follower.until(({ warnings }) => warnings.length === 0);
    expect(follower.notices.map(({ type, code }) => `${type} ${code}`)).toEqual([
      'fault CREDENTIALS',
      'recovered CREDENTIALS',
    ]);
  });

  it('that never answers is said, is not run beside itself, and is heard when it does', async () => {
    using plugin = Plugin.thatWaits();
    const clock = new Clock();
    await using server = await ApiServer.listen({ tls: serverCertificate, tokens: ['good'] });
    server.put(...smallCluster());
    using follower = new Follower(server, { access: plugin.access, scheduler: clock, random: () => 0, timing: {} });
    for (let turn = 0; turn < 3; turn++) {
      await clock.waiting(PLUGIN_MS, 5);
      clock.advance(PLUGIN_MS);
      await expect.poll(() => clock.pending.length).toBe(5);
      clock.advance(PLUGIN_MS);
    }
    await follower.until(({ warnings }) => warnings.length === 1);
    expect(follower.warnings[0]).toContain('no credentials (nothing came within 60 s');
    expect(plugin.count).toBe(1);
    plugin.gives(credential({ token: 'good' }));
    await follower.synced();
    expect(follower.notices.filter(({ type }) => type === 'fault')).toHaveLength(1);
  });
});
