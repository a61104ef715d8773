/** What the plugin says over what the API server says: which stands, and until when. */
import { Subject } from 'rxjs';
import { beforeEach, expect, it } from 'vitest';
import { CniClaims } from '../../src/cni/claims.ts';
import type { Address } from '../../src/model/address.ts';
import type { ClusterChange, ClusterEvent, ObjectKey, Pod } from '../../src/model/cluster.ts';

const KEY = 'shop/web' as ObjectKey;
const [A, B, C] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'] as Address[] as [Address, Address, Address];

let source: Subject<ClusterChange>;
let claims: CniClaims;
/** Addresses that the agent has been told last; undefined: no such pod. */
let told: readonly Address[] | undefined;
let changes: ClusterChange[];

beforeEach(() => {
  source = new Subject();
  claims = new CniClaims('here');
  told = undefined;
  changes = [];
  claims.over(source).subscribe((change) => {
    changes.push(change);
    for (const event of change.events) told = event.type === 'upsert' ? (event.object as Pod).addresses : undefined;
  });
});

function say(event: ClusterEvent): void {
  source.next({ events: [event], warnings: [], synced: true, revision: 'r' });
}

function record(addresses: readonly Address[], more: Partial<Pod> = {}): void {
  const pod = {
    kind: 'Pod',
    namespace: 'shop',
    name: 'web',
    labels: {},
    node: 'here',
    hostNetwork: false,
    finished: false,
    ports: [],
  } as const;
  say({ type: 'upsert', object: { ...pod, addresses, ...more } });
}

const forget = () => say({ type: 'delete', kind: 'Pod', key: KEY });

it('an address is told before its record has it, and stays when the record says the same', () => {
  record([]);
  claims.claim(KEY, 's1', [A]);
  expect(told).toEqual([A]);
  expect(changes.at(-1)).toMatchObject({ synced: true, revision: 'r', warnings: [] });
  record([], { labels: { app: 'web' } });
  expect(told).toEqual([A]);
  record([A]);
  expect(told).toEqual([A]);
});

it('a record that comes after the claim has it, and so has one that is made anew', () => {
  claims.claim(KEY, 's1', [A]);
  expect(changes).toEqual([]);
  record([]);
  expect(told).toEqual([A]);
  forget();
  expect(told).toBeUndefined();
  record([]);
  expect(told).toEqual([A]);
});

it('the record is believed once it says something new', () => {
  record([]);
  claims.claim(KEY, 's1', [A]);
  record([B]);
  expect(told).toEqual([B]);
  record([]);
  expect(told).toEqual([]);
});

it('a new sandbox of a pod has its address, whatever the record still says of the former', () => {
  record([A]);
  claims.release(KEY, 'unknown');
  expect(told).toEqual([A]);
  claims.claim(KEY, 's2', [B]);
  expect(told).toEqual([B]);
  record([A], { labels: { beat: '1' } });
  expect(told).toEqual([B]);
  claims.release(KEY, 's1');
  expect(told).toEqual([B]);
  record([B]);
  claims.release(KEY, 's2');
  expect(told).toEqual([]);
  record([C]);
  expect(told).toEqual([C]);
});

it('an address that is released stays so until the record goes', () => {
  record([]);
  claims.claim(KEY, 's1', [A]);
  record([A]);
  claims.release(KEY, 's1');
  record([A], { labels: { terminating: 'yes' } });
  expect(told).toEqual([]);
  forget();
  record([A]);
  expect(told).toEqual([A]);
});

it('sandboxes that are not among those that still are lose their addresses', () => {
  record([]);
  claims.claim(KEY, 's1', [A]);
  claims.retain(new Set(['s1']));
  expect(told).toEqual([A]);
  claims.retain(new Set());
  expect(told).toEqual([]);
});

it('pods of other nodes, and those in the node’s network, are as the source has them', () => {
  claims.claim(KEY, 's1', [A]);
  record([], { node: 'there' });
  expect(told).toEqual([]);
  record([B], { hostNetwork: true });
  expect(told).toEqual([B]);
  expect(claims.record(KEY)).toBeUndefined();
});
