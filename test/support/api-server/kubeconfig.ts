/** A kubeconfig file for the test API server, in a temporary folder; kubectl's format, which JSON is a part of. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KeyPair } from './certificates.ts';

export interface KubeconfigContent {
  readonly server: string;
  /** PEM; absent: whatever certificate the server shows is taken. */
  readonly authority?: string;
  readonly token?: string;
  readonly client?: KeyPair;
  /** Of a proxy between. */
  readonly proxy?: string;
  readonly exec?: { readonly command: string; readonly args: readonly string[] };
}

export class Kubeconfig implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'selvedge-kubeconfig-'));
  readonly path = join(this.folder, 'config');

  #content: KubeconfigContent;

  constructor(content: KubeconfigContent) {
    this.#content = content;
    this.write(content);
  }

  get text(): string {
    return kubeconfigText(this.#content);
  }

  /** Other content in place of what it has; what is not said stays. */
  write(content: Partial<KubeconfigContent>): void {
    this.#content = { ...this.#content, ...content };
    writeFileSync(this.path, this.text);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function kubeconfigText({ server, authority, token, client, proxy, exec }: KubeconfigContent): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const cluster = {
    server,
    ...(proxy && { 'proxy-url': proxy }),
    ...(authority ? { 'certificate-authority-data': base64(authority) } : { 'insecure-skip-tls-verify': true }),
  };
  const user = {
    ...(token && { token }),
    ...(client && { 'client-certificate-data': base64(client.certificate), 'client-key-data': base64(client.key) }),
    ...(exec && { exec: { apiVersion: 'client.authentication.k8s.io/v1', interactiveMode: 'Never', ...exec } }),
  };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'test', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
  };
  return JSON.stringify(config, null, 2);
}
