/** Where the API server is and what to show it: from the service account of a pod, or from kubeconfig files. */
import { readFile } from 'node:fs/promises';
import type { Agent, OutgoingHttpHeaders } from 'node:http';
import type { RequestOptions } from 'node:https';
import { isIPv6 } from 'node:net';
import type { Cluster, KubeConfig } from '@kubernetes/client-node';
import { ApiError } from './api-error.ts';

/** What one request needs. */
export interface Access {
  readonly headers: OutgoingHttpHeaders;
  readonly tls: Tls;
  /** `USER:PASSWORD` for basic authentication. */
  readonly auth?: string;
  /** One that goes through a proxy; absent: make your own. */
  readonly agent?: Agent;
}

export type Tls = Pick<
  RequestOptions,
  'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'rejectUnauthorized' | 'servername'
>;

export interface Credentials {
  /** Base of all paths, without a slash at its end. */
  readonly server: string;
  /** Asked before each request, since tokens rotate. */
  access(): Promise<Access>;
}

export interface Whereabouts {
  /** A kubeconfig file; absent: the files in KUBECONFIG, else the pod's service account, else ~/.kube/config. */
  readonly kubeconfig?: string;
  /** A context of the kubeconfig; absent: its current one. */
  readonly context?: string;
}

const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** What the client makes up when it finds nothing. */
const NOWHERE = 'http://localhost:8080';

/** @throws {ApiError} with code CREDENTIALS: there are none, or they cannot be read */
export async function loadCredentials(whereabouts: Whereabouts): Promise<Credentials> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
  const named = whereabouts.kubeconfig !== undefined || whereabouts.context !== undefined || process.env.KUBECONFIG;
  if (!named && host && port) return serviceAccount(host, port, ACCOUNT);
  try {
    return await fromKubeconfig(whereabouts);
  } catch (cause) {
    throw noCredentials(cause);
  }
}

/**
 * The credentials that Kubernetes mounts into a pod. Done here and not by the client, whose import costs every node
 * 80 MB and half a second. The token is read for each request: the kubelet replaces it before it expires.
 */
export function serviceAccount(host: string, port: string, folder: string): Credentials {
  const read = (name: string) =>
    readFile(`${folder}/${name}`, 'utf8').catch((cause: unknown) => {
      throw noCredentials(cause);
    });
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    async access() {
      const [token, ca] = await Promise.all([read('token'), read('ca.crt')]);
      return { headers: { authorization: `Bearer ${token.trim()}` }, tls: { ca } };
    },
  };
}

async function fromKubeconfig(whereabouts: Whereabouts): Promise<Credentials> {
  const { config, cluster } = await openKubeconfig(whereabouts);
  return {
    server: cluster.server.replace(/\/+$/, ''),
    async access() {
      try {
        const options: RequestOptions = { headers: {} };
        await config.applyToHTTPSOptions(options);
        const { headers, auth, agent, ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options;
        return {
          headers: headers as OutgoingHttpHeaders,
          tls: definedOf({ ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }),
          ...(auth && { auth }),
          ...(cluster.proxyUrl && agent instanceof Object && { agent }),
        };
      } catch (cause) {
        throw noCredentials(cause);
      }
    },
  };
}

/**
 * The client knows the file's format, exec plugins and the ways to authenticate. It is loaded here alone: that takes half a
 * second, which nobody else has to wait for.
 */
export async function openKubeconfig({
  kubeconfig,
  context,
}: Whereabouts): Promise<{ config: KubeConfig; cluster: Cluster }> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  if (kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(kubeconfig);
  if (context !== undefined) config.setCurrentContext(context);
  const cluster = config.getCurrentCluster();
  if (!cluster) throw new Error(`no cluster for context ${JSON.stringify(config.getCurrentContext() ?? '')}`);
  if (kubeconfig === undefined && !process.env.KUBECONFIG && cluster.server === NOWHERE) {
    throw new Error('neither --kubeconfig nor KUBECONFIG, no ~/.kube/config, and not in a pod with a service account');
  }
  return { config, cluster };
}

function definedOf(options: { [Key in keyof Tls]-?: Tls[Key] | undefined }): Tls {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function noCredentials(cause: unknown): ApiError {
  if (cause instanceof ApiError) return cause;
  return new ApiError('CREDENTIALS', wordsOf(cause), { cause });
}

/** The client takes what a plugin prints for a credential, and what it says on standard error, or does not, for the reason. */
function wordsOf(cause: unknown): string {
  const text = (cause instanceof Error ? cause.message : String(cause)).trim();
  if (cause instanceof TypeError) return `what was given is no credential: ${text}`;
  return text === '' ? 'it failed without a word' : text;
}
