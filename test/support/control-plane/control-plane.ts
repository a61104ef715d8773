/**
 * Kubernetes' own API server and etcd, on the loopback of a network namespace, with nobody else of a control plane: no
 * controllers, no scheduler, no kubelet. What those would write is written by the test.
 */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { type RunningCommand, start } from '../../../src/child-process.ts';
import { netns } from '../../../src/native.ts';
import { Authority, type KeyPair } from '../api-server/certificates.ts';
import { Kubeconfig, type KubeconfigContent } from '../api-server/kubeconfig.ts';
import type { ApiObject } from '../api-server/objects.ts';
import { type Answer, NamespacedClient } from './client.ts';
import { pathOf } from './paths.ts';

const TOOLS = fileURLToPath(new URL('../../../build/tools', import.meta.url));
const ETCD = 'http://127.0.0.1:2379';
const SERVER = 'https://127.0.0.1:6443';
const ADMIN = 'admin-of-the-test';
const LOOK_MS = 50;
/** Lines of each program that are kept for errors. */
const KEPT = 20;

/** Why it cannot be started here; undefined where it can. */
export const missingControlPlane: string | undefined = ['etcd', 'kube-apiserver'].every((name) =>
  existsSync(join(TOOLS, name)),
)
  ? undefined
  : 'no kube-apiserver and etcd in build/tools; scripts/test-apiserver builds them';

export class ControlPlane implements AsyncDisposable {
  readonly #namespace: string;
  readonly #folder = mkdtempSync(join(tmpdir(), `slv-${process.pid}-control-plane-`));
  readonly #authority = new Authority('control plane of a test');
  readonly #client: NamespacedClient;
  readonly #kubeconfigs: Kubeconfig[] = [];
  readonly #said: string[] = [];
  #etcd: RunningCommand | undefined;
  #server: RunningCommand | undefined;

  private constructor(namespace: string) {
    this.#namespace = namespace;
    this.#client = new NamespacedClient(namespace);
    const { certificate, key } = this.#authority.issue({ commonName: 'kube-apiserver', hosts: ['127.0.0.1'] });
    const account = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    const files = {
      'ca.pem': this.#authority.certificate,
      'server.pem': certificate,
      'server.key': key,
      'account.key': account.export({ type: 'pkcs8', format: 'pem' }).toString(),
      'tokens.csv': `${ADMIN},admin,admin,"system:masters"\n`,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.#folder, name), text);
  }

  /** @param flags more of the API server's @throws Error one of them does not start */
  static async start(namespace: string, flags: readonly string[] = []): Promise<ControlPlane> {
    const plane = new ControlPlane(namespace);
    try {
      plane.#startEtcd();
      await plane.startServer(flags);
      return plane;
    } catch (error) {
      await plane[Symbol.asyncDispose]();
      throw error;
    }
  }

  #startEtcd(): void {
    const peers = 'http://127.0.0.1:2380';
    this.#etcd = this.#start('etcd', [
      `--data-dir=${join(this.#folder, 'etcd')}`,
      `--listen-client-urls=${ETCD}`,
      `--advertise-client-urls=${ETCD}`,
      `--listen-peer-urls=${peers}`,
      `--initial-advertise-peer-urls=${peers}`,
      `--initial-cluster=default=${peers}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
    ]);
  }

  /** After `stopServer`: with what etcd has kept. */
  async startServer(flags: readonly string[] = []): Promise<void> {
    const file = (name: string) => join(this.#folder, name);
    this.#server = this.#start('kube-apiserver', [
      `--etcd-servers=${ETCD}`,
      '--bind-address=127.0.0.1',
      '--secure-port=6443',
      '--advertise-address=192.0.2.1',
      '--endpoint-reconciler-type=none',
      `--tls-cert-file=${file('server.pem')}`,
      `--tls-private-key-file=${file('server.key')}`,
      `--client-ca-file=${file('ca.pem')}`,
      `--token-auth-file=${file('tokens.csv')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${file('account.key')}`,
      `--service-account-signing-key-file=${file('account.key')}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      '--authorization-mode=RBAC',
      // Without the controller nobody makes the accounts that pods would run under.
      '--disable-admission-plugins=ServiceAccount',
      '--etcd-compaction-interval=0',
      '--v=0',
      ...flags,
    ]);
    while ((await this.ask('GET', '/readyz')).status !== 200) {
      if (!this.#server.running || !this.#etcd?.running) throw new Error(`no API server:\n${this.#said.join('\n')}`);
      await setTimeout(LOOK_MS);
    }
  }

  /** Every connection breaks; nothing is lost. */
  async stopServer(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#server?.kill(signal);
    await this.#server?.ended;
  }

  /** A kubeconfig for it; it goes with this. */
  kubeconfig(credentials: Omit<KubeconfigContent, 'server' | 'authority'>): Kubeconfig {
    const config = new Kubeconfig({ server: SERVER, authority: this.#authority.certificate, ...credentials });
    this.#kubeconfigs.push(config);
    return config;
  }

  /** A user's client certificate. */
  certificate(user: string): KeyPair {
    return this.#authority.issue({ commonName: user });
  }

  /** A new token of a service account. */
  async token(namespace: string, name: string): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
    const body = JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} });
    const answer = await this.#good('POST', path, body);
    return answer.status.token;
  }

  /** Applies manifests as `kubectl apply --server-side` does, checked strictly. */
  async apply(...manifests: readonly (ApiObject | string)[]): Promise<void> {
    const objects = manifests.flatMap((one) => {
      if (typeof one !== 'string') return [one];
      return parseAllDocuments(one).map((document) => document.toJS() as ApiObject | null);
    });
    for (const object of objects) {
      if (object === null) continue;
      const { status, ...rest } = object;
      const path = pathOf(object);
      const query = 'fieldManager=test&force=true&fieldValidation=Strict';
      await this.#good('PATCH', `${path}?${query}`, JSON.stringify(rest), 'application/apply-patch+yaml');
      if (status !== undefined) {
        await this.#good('PATCH', `${path}/status`, JSON.stringify({ status }), 'application/merge-patch+json');
      }
    }
  }

  /** At once, without a kubelet's consent. */
  async delete(object: ApiObject): Promise<void> {
    await this.#good('DELETE', `${pathOf(object)}?gracePeriodSeconds=0`);
  }

  /** A request with all rights. */
  ask(method: string, path: string, body?: string, type = 'application/json'): Promise<Answer> {
    const headers = { authorization: `Bearer ${ADMIN}`, 'content-type': type };
    const authority = this.#authority.certificate;
    return this.#client.ask({
      method,
      url: `${SERVER}${path}`,
      headers,
      authority,
      ...(body !== undefined && { body }),
    });
  }

  /** Has etcd forget all but what is there now. */
  async compact(): Promise<void> {
    const post = async (path: string, body: object) => {
      const answer = await this.#client.ask({ method: 'POST', url: `${ETCD}${path}`, body: JSON.stringify(body) });
      if (answer.status !== 200) throw new Error(`etcd: ${path}: ${answer.status} ${answer.body}`);
      return JSON.parse(answer.body);
    };
    const { header } = await post('/v3/kv/range', { key: Buffer.from('none').toString('base64') });
    await post('/v3/kv/compaction', { revision: header.revision, physical: true });
  }

  async #good(method: string, path: string, body?: string, type?: string) {
    const answer = await this.ask(method, path, body, type);
    if (answer.status < 200 || answer.status > 299)
      throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
    return JSON.parse(answer.body);
  }

  #start(name: string, args: readonly string[]): RunningCommand {
    const onLine = (line: string) => {
      this.#said.push(`${name}: ${line}`);
      if (this.#said.length > KEPT) this.#said.shift();
    };
    // It must not outlive a test run that is killed.
    const command = ['--pdeathsig', 'KILL', join(TOOLS, name), ...args];
    return netns.run(this.#namespace, () => start('setpriv', command, { onLine }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopServer();
    this.#etcd?.kill('SIGKILL');
    await this.#etcd?.ended;
    await this.#client[Symbol.asyncDispose]();
    for (const config of this.#kubeconfigs) config[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
