// Promise 5 through Services by real connections: one that policy no longer admits stops at its next packet, whichever side sends and whatever translated it.
import { setTimeout } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { KINDS } from '../../src/dataplane/select.ts';
import { policy } from '../support/cases/case.ts';
import { NODE1, NODE2 } from '../support/cases/cast.ts';
import { openStream, type Stream } from '../support/kernel/stream.ts';
import type { NetworkPolicy, Peer } from '../support/oracle/objects.ts';
import { PATIENCE } from '../support/patience.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { CLIENT, EXTERNAL, nodePortOf, VIRTUAL } from './served-cast.ts';
import { ServedLab } from './served-lab.ts';

const FAMILIES = ['IPv4', 'IPv6'] as const;
type Ends = Readonly<Record<(typeof FAMILIES)[number], string>>;
const node1: Ends = { IPv4: NODE1.ipv4, IPv6: NODE1.ipv6 };
const node2: Ends = { IPv4: NODE2.ipv4, IPv6: NODE2.ipv6 };
const MESSAGES = 30;

interface Way {
  readonly name: string;
  readonly from: string | Ends;
  readonly to: 'api' | 'db' | 'web';
  /** By the Service's cluster or external address, or by the port of a node. */
  readonly via: 'cluster' | 'external' | Ends;
}

const WAYS: readonly Way[] = [
  { name: 'web to api on its node', from: 'shop/web', to: 'api', via: 'cluster' },
  { name: 'web to db on the other node', from: 'shop/web', to: 'db', via: 'cluster' },
  { name: 'web to api by a port of the node', from: 'shop/web', to: 'api', via: node1 },
  { name: 'scan to api on the other node', from: 'audit/scan', to: 'api', via: 'cluster' },
  { name: 'a client outside to api by a port of its node', from: CLIENT, to: 'api', via: node1 },
  { name: 'a client outside to db by a port of its node', from: CLIENT, to: 'db', via: node2 },
  { name: 'web to itself', from: 'shop/web', to: 'web', via: 'cluster' },
  { name: 'web to itself by a port of the node', from: 'shop/web', to: 'web', via: node1 },
  { name: 'the node to api', from: node1, to: 'api', via: 'cluster' },
  { name: 'a client outside to api by an address that is not masqueraded', from: CLIENT, to: 'api', via: 'external' },
];

const only = (app: string): Peer => ({ podSelector: { matchLabels: { app } } });
const SCAN: Peer = { namespaceSelector: { matchLabels: { team: 'audit' } }, ...only('scan') };
const OUTSIDE: Peer[] = [{ ipBlock: { cidr: `${CLIENT.IPv4}/32` } }, { ipBlock: { cidr: `${CLIENT.IPv6}/128` } }];

interface Admitted {
  readonly web: readonly Peer[];
  readonly api: readonly Peer[];
  readonly db: readonly Peer[];
}

const ALL: Admitted = {
  web: [only('api'), only('db')],
  api: [only('web'), SCAN, ...OUTSIDE],
  db: [only('web'), ...OUTSIDE],
};

/** Isolates web in both directions, api and db in ingress. */
function state({ web, api, db }: Admitted): NetworkPolicy[] {
  const { podSelector } = only('web');
  const egress = web.length === 0 ? [] : [{ to: web }];
  const servers = Object.entries({ api, db }).map(([app, from]) => {
    return policy(`shop/${app}`, {
      ...only(app),
      podSelector: only(app).podSelector,
      ingress: from.length === 0 ? [] : [{ from }],
    });
  });
  return [policy('shop/web', { podSelector, policyTypes: ['Ingress', 'Egress'], egress }), ...servers];
}

for (const dataplane of KINDS)
  describeAsRoot(`connections through Services, judged by ${dataplane},`, () => {
    let served: ServedLab;
    let streams: Stream[] = [];

    beforeAll(async () => {
      served = await ServedLab.start(dataplane);
    });

    afterEach(() => {
      for (const stream of streams) stream.close();
      streams = [];
    });

    afterAll(() => served?.close());

    for (const [what, admitted, cut] of [
      ['somebody else is admitted too', { ...ALL, db: [...ALL.db, SCAN] }, []],
      ['web’s egress is revoked', { ...ALL, web: [] }, [0, 1, 2]],
      ['the ingress of api and db is revoked', { ...ALL, api: [], db: [] }, [0, 1, 2, 3, 4, 5, 9]],
      ['the client outside is admitted no more', { ...ALL, api: [only('web'), SCAN], db: [only('web')] }, [4, 5, 9]],
      ['web is admitted to api no more', { ...ALL, api: [SCAN, ...OUTSIDE] }, [0, 2]],
    ] as const) {
      it(`stop when ${what}, as far as they have to`, async () => {
        await served.enforce(state(ALL));
        const opened = await openAll(served);
        streams = opened.flat();
        await talk(streams, streams);

        await served.enforce(state(admitted));
        const before = new Map(streams.map((stream) => [stream, stream.sent]));
        const kept = opened.filter((_, way) => !(cut as readonly number[]).includes(way)).flat();
        await talk(streams, kept);

        const late = opened.flatMap((ofWay, way) => {
          const passed = ofWay.filter((stream) => !kept.includes(stream) && stream.last > (before.get(stream) ?? 0));
          return passed.map(({ name, last }) => `${WAYS[way]?.name}: ${name}: ${last - MESSAGES - 1} more`);
        });
        const lost = opened.flatMap((ofWay, way) => {
          const missing = ofWay.filter((stream) => kept.includes(stream) && stream.received < stream.sent);
          return missing.map(({ name, received, sent }) => `${WAYS[way]?.name}: ${name}: ${received} of ${sent}`);
        });
        expect({ late, lost }).toEqual({ late: [], lost: [] });
      });
    }
  });

/** By way: TCP and UDP, in both families, sent in both directions. */
function openAll(served: ServedLab): Promise<Stream[][]> {
  return Promise.all(
    WAYS.map(({ from, to, via }, way) => {
      const kinds = FAMILIES.flatMap((family) =>
        (['TCP', 'UDP'] as const).flatMap((protocol) =>
          (['up', 'down'] as const).map((direction) => ({ family, protocol, direction })),
        ),
      );
      return Promise.all(
        kinds.map(({ family, protocol, direction }) => {
          const port = 7000 + 2 * way + (direction === 'up' ? 0 : 1);
          const turned = turnedTo({ to, via }, family, port);
          const ends = {
            from: served.station(typeof from === 'string' ? from : from[family], family),
            to: served.station(`shop/${to}`, family),
          };
          return openStream({ ...ends, port, protocol, direction, via: turned });
        }),
      );
    }),
  );
}

/** Where the client believes its server to be. */
function turnedTo({ to, via }: Pick<Way, 'to' | 'via'>, family: (typeof FAMILIES)[number], port: number) {
  if (via === 'cluster') return { address: VIRTUAL[to][family], port };
  if (via === 'external') return { address: EXTERNAL[family], port };
  return { address: via[family], port: nodePortOf(to, port) };
}

/** Sends on all connections; resolves when all messages of `awaited` have arrived, or are not to be expected any more. */
async function talk(streams: readonly Stream[], awaited: readonly Stream[]): Promise<void> {
  for (let i = 0; i < MESSAGES; i++) {
    for (const stream of streams) stream.send();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const patience = new AbortController();
  const arrived = Promise.all(awaited.map((stream) => stream.arrived(stream.sent)));
  await Promise.race([arrived, setTimeout(PATIENCE, undefined, { signal: patience.signal }).catch(() => {})]);
  patience.abort();
}
