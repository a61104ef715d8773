import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClusterEvent } from '../../../src/model/cluster.ts';
import { digestOf } from '../../../src/sources/kubernetes/digest.ts';
import { Interning } from '../../../src/sources/kubernetes/interning.ts';
import { KnownObjects } from '../../../src/sources/kubernetes/known-objects.ts';
import { type Resource, resourcesFor } from '../../../src/sources/kubernetes/resources.ts';
import { eventIn, slimLine } from '../../../src/sources/kubernetes/watch-events.ts';
import { ApiServer } from '../../support/api-server/api-server.ts';
import { Follower } from './follower.ts';
import { pod, smallCluster } from './objects.ts';

const resource = resourcesFor('node1').find(({ kind }) => kind === 'Pod') as Resource;

function known(): { objects: KnownObjects; events: ClusterEvent[] } {
  const events: ClusterEvent[] = [];
  const onEvents = (more: readonly ClusterEvent[]) => events.push(...more);
  const objects = new KnownObjects({ resource, interning: new Interning(), onEvents, onWarnings: () => {} });
  return { objects, events };
}

const step = fc.record({
  what: fc.constantFrom('MODIFIED', 'MODIFIED', 'MODIFIED', 'ADDED', 'DELETED', 'pages', 'stream'),
  name: fc.constantFrom('a', 'b'),
  address: fc.constantFrom('10.0.0.1', '10.0.0.2', 'not one', undefined),
  beat: fc.nat(2),
  /** As Go writes it, mostly. */
  plain: fc.constantFrom(true, true, true, false),
});

describe('lines that repeat', () => {
  it('are left out without a difference, whatever comes between', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const whole = known();
        const quick = known();
        let left = 0;
        for (const [version, { what, name, address, beat, plain }] of steps.entries()) {
          const object = pod('shop', name, { ...(address !== undefined && { address }), beat });
          const inOrder = { ...object.metadata, resourceVersion: `${version}` };
          const metadata = plain ? inOrder : Object.fromEntries(Object.entries(inOrder).toReversed());
          const type = what === 'pages' || what === 'stream' ? 'ADDED' : what;
          const line = Buffer.from(JSON.stringify({ type, object: { ...object, metadata } }));
          const slim = slimLine(line, resource);
          const event = eventIn(line, slim);
          expect(event.version).toBe(`${version}`);
          const digest = slim && digestOf(slim.text);
          if (what === 'pages' || what === 'stream') {
            for (const { objects } of [whole, quick]) {
              objects.beginList();
              objects.put(event.object, what === 'stream' && objects === quick.objects ? digest : undefined);
              objects.endList();
            }
            continue;
          }
          if (what === 'DELETED') quick.objects.remove(event.object);
          else if (slim !== undefined && quick.objects.knows(slim.text, digest as number)) left++;
          else quick.objects.put(event.object, digest);
          if (what === 'DELETED') whole.objects.remove(event.object);
          else whole.objects.put(event.object);
          expect(quick.events).toEqual(whole.events);
          expect(quick.objects.warnings()).toEqual(whole.objects.warnings());
        }
        fc.pre(left > 0);
      }),
      { numRuns: 500 },
    );
  });

  it('are heard all the same: a watch is resumed behind them', async () => {
    await using server = await ApiServer.listen();
    server.put(...smallCluster());
    using follower = new Follower(server);
    await follower.synced();
    const before = follower.changes.length;
    for (let beat = 1; beat <= 5; beat++) server.put(pod('shop', 'web-1', { beat }));
    server.put(pod('shop', 'web-1', { address: '10.244.0.9' }), pod('shop', 'web-1'), pod('shop', 'web-2'));
    // A last line that says nothing new.
    server.put(pod('shop', 'web-2', { beat: 1 }));
    const version = server.storage.version;
    await follower.until(({ objects }) => objects.has('Pod shop/web-2'));
    const events = follower.changes.slice(before).flatMap((change) => change.events);
    expect(
      events.map((event) => (event.type === 'upsert' && 'addresses' in event.object ? event.object.addresses : event)),
    ).toEqual([[], ['10.244.0.9'], [], []]);
    const reopened = server.request(({ resource, verb }) => resource === 'pods' && verb === 'watch');
    for (const watch of server.watches('pods')) watch.end();
    expect((await reopened).query.resourceVersion).toBe(`${version}`);
  });
});
