/**
 * Objects of the cluster -> the agents of one engine, over a socket in place of an API server: as JSON that they parse and
 * check like an API server's, with no folder that must settle first. Agents that come later get all that is there.
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { type ClusterChange, type ClusterEvent, keyOf, type ObjectKey } from '../../../model/cluster.ts';
import { type Manifest, objectOf } from '../world.ts';
import { monotonicMs } from './monotonic.ts';

/** One line to an agent: what came or changed, and the keys of policies and pods that went. */
interface FeedLine {
  readonly revision: string;
  readonly upserts: readonly Manifest[];
  readonly deletes: readonly { readonly kind: 'Pod' | 'NetworkPolicy'; readonly key: ObjectKey }[];
}

export interface FeedChange {
  readonly upserts?: readonly Manifest[];
  readonly deletes?: readonly Manifest[];
}

/** What has been sent: settled once agents are at this revision. */
export interface Sent {
  readonly revision: string;
  /** Milliseconds of CLOCK_MONOTONIC, just before. */
  readonly at: number;
}

const greeting = z.object({ node: z.string(), pid: z.number() });

export class Feed {
  readonly #server: Server;
  readonly #agents = new Map<Socket, z.infer<typeof greeting> | undefined>();
  readonly #objects = new Map<string, Manifest>();
  #revision = 0;

  /** @param path of a socket that is made */
  static async open(path: string): Promise<Feed> {
    const feed = new Feed();
    feed.#server.listen(path);
    await once(feed.#server, 'listening');
    return feed;
  }

  private constructor() {
    this.#server = createServer((socket) => this.#welcome(socket)).unref();
  }

  send({ upserts = [], deletes = [] }: FeedChange): Sent {
    const at = monotonicMs();
    for (const manifest of upserts) this.#objects.set(idOf(manifest), manifest);
    for (const manifest of deletes) this.#objects.delete(idOf(manifest));
    this.#revision++;
    const gone = deletes.map((manifest) => ({
      kind: manifest.kind as 'Pod' | 'NetworkPolicy',
      key: keyOf(objectOf(manifest)),
    }));
    const line = textOf({ revision: this.revision, upserts, deletes: gone });
    for (const socket of this.#agents.keys()) socket.write(line);
    return { revision: this.revision, at };
  }

  get revision(): string {
    return `${this.#revision}`;
  }

  /** The process of a node's agent; undefined until it has come. */
  pidOf(node: string): number | undefined {
    return [...this.#agents.values()].find((agent) => agent?.node === node)?.pid;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#agents.keys()) socket.destroy();
  }

  #welcome(socket: Socket): void {
    this.#agents.set(socket, undefined);
    socket.on('error', () => {}).on('close', () => this.#agents.delete(socket));
    createInterface({ input: socket })
      .on('line', (text) => this.#agents.set(socket, greeting.parse(JSON.parse(text))))
      // The socket's, once more.
      .on('error', () => {});
    socket.write(textOf({ revision: this.revision, upserts: [...this.#objects.values()], deletes: [] }));
  }
}

/** What a line of the feed says, parsed as what an API server sends is. */
export function changeOf(text: string): ClusterChange {
  const { revision, upserts, deletes } = JSON.parse(text) as FeedLine;
  const events: ClusterEvent[] = [
    ...deletes.map(({ kind, key }) => ({ type: 'delete' as const, kind, key })),
    ...upserts.map((manifest) => ({ type: 'upsert' as const, object: objectOf(manifest) })),
  ];
  return { events, revision, synced: true, warnings: [] };
}

function idOf(manifest: Manifest): string {
  const { namespace = '', name } = manifest.metadata as { readonly namespace?: string; readonly name: string };
  return `${manifest.kind} ${namespace}/${name}`;
}

function textOf(line: FeedLine): string {
  return `${JSON.stringify(line)}\n`;
}
