import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type ClusterObject, keyOf } from '../../../src/model/cluster.ts';
import { ApiServer } from '../../support/api-server/api-server.ts';
import { type ApiObject, keyOf as apiKeyOf, RESOURCES } from '../../support/api-server/objects.ts';
import { failure } from '../../support/api-server/status.ts';
import { Follower } from './follower.ts';
import { namespace, node, pod, policy, service } from './objects.ts';

/** Objects differ in one number, which their slim forms keep, and in another, which these do not. */
const MAKE: Readonly<Record<string, (name: string, variant: number, beat: number) => ApiObject>> = {
  Namespace: (name, variant) => namespace(name, { v: `${variant}` }),
  Pod: (name, variant, beat) => pod('shop', name, { labels: { v: `${variant}` }, beat }),
  NetworkPolicy: (name, variant) => policy('shop', name, { podSelector: { matchLabels: { v: `${variant}` } } }),
  Service: (name, variant) => service('shop', name, `10.96.0.${variant}`),
  Node: (_, variant, beat) => node('node1', `192.0.2.${variant}`, beat),
};

function variantOf(object: ClusterObject): number {
  if (object.kind === 'NetworkPolicy') {
    const [requirement] = object.podSelector.requirements;
    return requirement?.operator === 'In' ? Number(requirement.values[0]) : -1;
  }
  if (object.kind === 'Namespace' || object.kind === 'Pod') return Number(object.labels.v);
  return Number(object.addresses[0]?.split('.').at(-1));
}

const kind = fc.constantFrom(...Object.keys(MAKE));
const plural = fc.option(fc.constantFrom(...RESOURCES.map((resource) => resource.plural)), { nil: undefined });
const name = fc.constantFrom('a', 'b', 'c', 'd');
const number = fc.integer({ min: 1, max: 3 });

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('put' as const), kind, name, variant: number, beat: number }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('delete' as const), kind, name }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('breathe' as const), turns: fc.integer({ min: 1, max: 20 }) }) },
  fc.record({ do: fc.constantFrom('cut', 'cutInNextEvent', 'end', 'garbage', 'error', 'bookmark'), plural }),
  fc.record({
    do: fc.constant('fail' as const),
    plural,
    code: fc.constantFrom(401, 403, 410, 429, 500, 503),
    times: number,
  }),
  fc.record({ do: fc.constantFrom('compact', 'leave', 'switchStreams', 'switchExpired') }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function take(server: ApiServer, step: Step): Promise<void> {
  if (step.do === 'put' && 'variant' in step) {
    const make = MAKE[step.kind] as (typeof MAKE)[string];
    server.put(make(step.name, step.variant, step.beat));
  } else if (step.do === 'delete' && 'kind' in step) {
    const key = apiKeyOf((MAKE[step.kind] as (typeof MAKE)[string])(step.name, 1, 1));
    if (server.storage.get(step.kind, key)) server.delete(step.kind, key);
  } else if ('turns' in step) {
    for (let turn = 0; turn < step.turns; turn++) await new Promise((resolve) => setImmediate(resolve));
  } else if ('code' in step) {
    server.fail({ code: step.code, times: step.times, ...(step.plural && { resource: step.plural }) });
  } else if ('plural' in step) disturb(server, step.do, step.plural);
  else if (step.do === 'compact') server.compact();
  else if (step.do === 'switchStreams') server.streams = !server.streams;
  else if (step.do === 'switchExpired') server.expired = server.expired === 'event' ? 'status' : 'event';
  else {
    await server.pause();
    await server.resume();
  }
}

function disturb(server: ApiServer, what: string, plural: string | undefined): void {
  for (const watch of server.watches(plural)) {
    if (what === 'cut') watch.cut();
    else if (what === 'cutInNextEvent') watch.cutInNextEvent();
    else if (what === 'end') watch.end();
    else if (what === 'garbage') watch.raw('{"type":"ADDED","obj\n');
    else if (what === 'error') watch.fail(failure(500, 'the test wants it'));
    else watch.bookmark();
  }
}

function held(server: ApiServer): Record<string, number> {
  const numbers: Record<string, number> = {};
  for (const { kind } of RESOURCES) {
    for (const [key, object] of server.storage.collection(kind).objects) {
      const { labels } = object.metadata;
      const { podSelector, clusterIP } = (object.spec ?? {}) as {
        podSelector?: { matchLabels: { v: string } };
        clusterIP?: string;
      };
      const { addresses } = (object.status ?? {}) as { addresses?: { address: string }[] };
      const address = clusterIP ?? addresses?.[0]?.address;
      numbers[`${kind} ${key}`] = Number(podSelector?.matchLabels.v ?? address?.split('.').at(-1) ?? labels?.v);
    }
  }
  return numbers;
}

function followed(objects: ReadonlyMap<string, ClusterObject>): Record<string, number> {
  return Object.fromEntries([...objects].map(([id, object]) => [id, variantOf(object)]));
}

/** Every event is news, and nothing comes before it is there. */
function expectNews({ changes }: Follower): void {
  const objects = new Map<string, string>();
  let synced = false;
  for (const change of changes) {
    expect(change.synced || !synced).toBe(true);
    synced = change.synced;
    for (const event of change.events) {
      if (event.type === 'delete') expect(objects.delete(`${event.kind} ${event.key}`)).toBe(true);
      else {
        const id = `${event.object.kind} ${keyOf(event.object)}`;
        const text = JSON.stringify(event.object);
        expect(objects.get(id)).not.toBe(text);
        objects.set(id, text);
      }
    }
  }
}

it('whatever is edited, cut, compacted and refused on the way, the end is what the server holds', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), fc.boolean(), async (steps, streams) => {
      await using server = await ApiServer.listen({ streams });
      server.put(node('node1'), pod('shop', 'a', { labels: { v: '1' } }), namespace('a', { v: '1' }));
      using follower = new Follower(server, { pageSize: 2 });
      for (const each of steps) await take(server, each);
      const same = () => JSON.stringify(sorted(followed(follower.objects))) === JSON.stringify(sorted(held(server)));
      await follower.until(
        ({ last, warnings }) =>
          last?.synced && warnings.length <= Number(held(server)['Node node1'] === undefined) && same(),
      );
      expectNews(follower);
    }),
    { numRuns: 60, interruptAfterTimeLimit: 20_000 },
  );
});

function sorted(record: Record<string, number>): [string, number][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}
