/** The process of the test API server: fills it, changes objects when asked to, and says when it did. */
import { setTimeout } from 'node:timers/promises';
import { ApiServer } from '../../test/support/api-server/api-server.ts';
import { Authority } from '../../test/support/api-server/certificates.ts';
import { type ApiObject, keyOf } from '../../test/support/api-server/objects.ts';
import { answer, now } from './child.ts';
import { type Churn, churnEvent } from './churn.ts';
import { type ClusterSize, clusterObjects } from './cluster.ts';

/** An object that was put or deleted, and when, in milliseconds of the shared clock. */
export interface Sent {
  readonly key: string;
  readonly at: number;
}

/** Where the server is and what a pod's service account would hold. */
export interface Filled {
  readonly host: string;
  readonly port: string;
  readonly token: string;
  readonly 'ca.crt': string;
  /** Of all objects as JSON. */
  readonly bytes: number;
}

const TOKEN = 'a-token-of-the-benchmark';

let server: ApiServer;
let size: ClusterSize;

function send(change: { readonly put: ApiObject } | { readonly delete: ApiObject }): Sent {
  const at = now();
  const object = 'put' in change ? change.put : change.delete;
  const key = `${object.kind} ${keyOf(object)}`;
  if ('put' in change) server.put(object);
  else server.delete(object.kind, keyOf(object));
  return { key, at };
}

const answers = {
  fill: async (wanted: ClusterSize): Promise<Filled> => {
    size = wanted;
    const authority = new Authority('bench');
    const tls = authority.issue({ commonName: 'api', hosts: ['127.0.0.1'] });
    server = await ApiServer.listen({ historyLimit: 50_000, tls, tokens: [TOKEN] });
    let bytes = 0;
    for (const object of clusterObjects(size)) {
      server.put(object);
      bytes += JSON.stringify(object).length;
    }
    server.compact();
    return { host: '127.0.0.1', port: new URL(server.url).port, token: TOKEN, 'ca.crt': authority.certificate, bytes };
  },
  put: (object: ApiObject) => send({ put: object }),
  delete: (object: ApiObject) => send({ delete: object }),
  /** Changes at an even rate, each as soon as its time has come. */
  churn: async ({ kind, perSecond, seconds }: { kind: Churn; perSecond: number; seconds: number }): Promise<Sent[]> => {
    const sent: Sent[] = [];
    const start = now();
    for (let i = 0; i < perSecond * seconds; i++) {
      const wait = start + (i * 1000) / perSecond - now();
      if (wait > 0) await setTimeout(wait);
      sent.push(send(churnEvent(kind, i, size)));
    }
    return sent;
  },
};

export type ServerAnswers = typeof answers;

answer(answers);
