/** What the plugin says over what the API server says: which stands, and until when. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Subject } from 'rxjs';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { type ClaimsOptions, CniClaims } from '../../src/cni/claims.ts';
import { claimsFileOf, loadClaims, type StoredClaim, saveClaims } from '../../src/cni/claims-file.ts';
import type { Address } from '../../src/model/address.ts';
import type { ClusterChange, ClusterEvent, ObjectKey, Pod } from '../../src/model/cluster.ts';

const KEY = 'shop/web' as ObjectKey;
const [A, B, C] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'] as Address[] as [Address, Address, Address];

let source: Subject<ClusterChange>;
let claims: CniClaims;
/** Addresses that the agent has been told last; undefined: no such pod. */
let told: readonly Address[] | undefined;
let changes: ClusterChange[];

/** As of the last word of the plugin. */
let saved: readonly StoredClaim[];

beforeEach(() => begin());

function begin(options: ClaimsOptions = {}): void {
  saved = [];
  const save = (all: readonly StoredClaim[]) => {
    saved = all;
  };
  source = new Subject();
  claims = new CniClaims('here', { save, ...options });
  told = undefined;
  changes = [];
  claims.over(source).subscribe((change) => {
    changes.push(change);
    for (const event of change.events) told = event.type === 'upsert' ? (event.object as Pod).addresses : undefined;
  });
}

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
  claims.claim(KEY, { container: 's1' }, [A]);
  expect(told).toEqual([A]);
  expect(changes.at(-1)).toMatchObject({ synced: true, revision: 'r', warnings: [] });
  record([], { labels: { app: 'web' } });
  expect(told).toEqual([A]);
  record([A]);
  expect(told).toEqual([A]);
});

it('a record that comes after the claim has it, and so has one that is made anew', () => {
  claims.claim(KEY, { container: 's1' }, [A]);
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
  claims.claim(KEY, { container: 's1' }, [A]);
  record([B]);
  expect(told).toEqual([B]);
  record([]);
  expect(told).toEqual([]);
});

it('a new sandbox of a pod has its address, whatever the record still says of the former', () => {
  record([A]);
  claims.release(KEY, 'unknown');
  expect(told).toEqual([A]);
  claims.claim(KEY, { container: 's2' }, [B]);
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
  claims.claim(KEY, { container: 's1' }, [A]);
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
  claims.claim(KEY, { container: 's1' }, [A]);
  claims.retain(new Set(['s1']));
  expect(told).toEqual([A]);
  claims.retain(new Set());
  expect(told).toEqual([]);
});

it('pods of other nodes, and those in the node’s network, are as the source has them', () => {
  claims.claim(KEY, { container: 's1' }, [A]);
  record([], { node: 'there' });
  expect(told).toEqual([]);
  record([B], { hostNetwork: true });
  expect(told).toEqual([B]);
  expect(claims.record(KEY)).toBeUndefined();
});

it('a claim is of one pod, and of none of the same name before or after it', () => {
  record([A], { instance: 1 });
  claims.claim(KEY, { container: 's2', instance: 2 }, [B]);
  // The one before it has ended, or this one would not start.
  expect(told).toEqual([]);
  record([A], { instance: 1, labels: { beat: '1' } });
  expect(told).toEqual([]);
  forget();
  record([], { instance: 2 });
  expect(told).toEqual([B]);
  forget();
  record([], { instance: 3 });
  expect(told).toEqual([]);
});

it('one whose pod was never seen, and one of a runtime that says no uid', () => {
  claims.claim(KEY, { container: 's1', instance: 1 }, [A]);
  record([], { instance: 2 });
  expect(told).toEqual([]);
  claims.claim(KEY, { container: 's2' }, [B]);
  expect(told).toEqual([B]);
});

it('an agent after another knows what was told, and gives back what is given back', () => {
  record([], { instance: 1 });
  claims.claim(KEY, { container: 's1', instance: 1 }, [A]);
  begin({ stored: saved });
  record([], { instance: 1 });
  expect(told).toEqual([A]);
  claims.release(KEY, 's1');
  expect(told).toEqual([]);

  record([A], { instance: 1 });
  claims.claim(KEY, { container: 's2', instance: 1 }, [A]);
  claims.release(KEY, 's2');
  begin({ stored: saved });
  record([A], { instance: 1 });
  expect(told).toEqual([]);
});

it('of pods that are no more when the source has told of all, nothing is kept', () => {
  claims.claim(KEY, { container: 's1' }, [A]);
  begin({ stored: saved });
  source.next({ events: [], warnings: [], synced: true, revision: 'r' });
  record([]);
  expect(told).toEqual([]);
  claims.claim('shop/other' as ObjectKey, { container: 's2' }, [B]);
  expect(saved.map(({ pod }) => pod)).toEqual(['shop/other']);
});

it('the file holds what is stored, is its owner’s alone, and anything else in it is an error', () => {
  const folder = mkdtempSync(join(tmpdir(), 'selvedge-claims-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = claimsFileOf(join(folder, 'agent.sock'));
  expect(loadClaims(file)).toEqual([]);
  record([B], { instance: 1 });
  claims.claim(KEY, { container: 's1', instance: 2 }, [A]);
  claims.claim('shop/done' as ObjectKey, { container: 's2' }, []);
  saveClaims(file, saved);
  expect(loadClaims(file)).toEqual([
    { pod: KEY, sandbox: 's1', instance: 2, claim: { addresses: [A], before: '', former: 1 } },
    { pod: 'shop/done', sandbox: 's2' },
  ]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  for (const text of ['', '{}', '[{"pod":7}]', '[{"pod":"a/b","claim":{"addresses":["x"],"before":""}}]']) {
    writeFileSync(file, text);
    expect(() => loadClaims(file)).toThrow();
  }
});
