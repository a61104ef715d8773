// The test API server is held to Kubernetes' own: the same questions to both, and what of the answers a client can depend on.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runSync } from '../../../src/child-process.ts';
import { netns } from '../../../src/native.ts';
import { statusError } from '../../../src/sources/kubernetes/api-error.ts';
import { ApiServer } from '../../support/api-server/api-server.ts';
import type { ApiObject } from '../../support/api-server/objects.ts';
import type { Answer } from '../../support/control-plane/client.ts';
import { ControlPlane, missingControlPlane } from '../../support/control-plane/control-plane.ts';
import { describeUnless, missingPrivilege } from '../../support/privilege.ts';
import { namespace, pod } from './objects.ts';

const reason = missingPrivilege() ?? missingControlPlane;

const NO_STREAMS = ['--feature-gates=WatchList=false', '--watch-cache=false'];
const PODS = ['a', 'b', 'c'].map((name) => pod('shop', name, { address: undefined as never }));
const STREAM = 'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';

// biome-ignore lint/suspicious/noExplicitAny: whatever a server says
type Json = any;

/** Of an answer what does not differ from one cluster to the next. */
function gist({ status, body }: Answer) {
  if (body === '') return { status, events: [] };
  const lines = body.trim().split('\n');
  if (lines.length === 1 && !body.startsWith('{"type"')) return { status, ...ofObject(JSON.parse(body)) };
  return { status, events: lines.filter((line) => line !== '').map((line) => ofEvent(JSON.parse(line))) };
}

function ofObject({ kind, apiVersion, ...rest }: Json) {
  if (kind === 'Status') return { kind, ...ofStatus(rest) };
  const items = rest.items?.map((item: Json) => ({ name: item.metadata.name, kind: item.kind }));
  return {
    kind,
    apiVersion,
    metadata: Object.keys(rest.metadata).sort(),
    remaining: rest.metadata.remainingItemCount,
    items,
  };
}

function ofStatus({ code, reason: why, details, metadata }: Json) {
  const causes = details?.causes?.map((one: Json) => ({ reason: one.reason, field: one.field }));
  return { code, reason: why, causes, goesOn: metadata?.continue !== undefined };
}

function ofEvent({ type, object }: Json) {
  if (type === 'ERROR') return { type, ...ofStatus(object), apiVersion: object.apiVersion, kind: object.kind };
  const { kind, apiVersion, metadata } = object;
  const version = /^\d+$/.test(metadata.resourceVersion);
  if (type !== 'BOOKMARK') return { type, kind, apiVersion, name: metadata.name, version };
  return { type, kind, apiVersion, name: metadata.name, version, annotations: metadata.annotations };
}

for (const [how, flags] of [
  ['as it comes', []],
  ['without streamed lists and its cache', NO_STREAMS],
] as const)
  describeUnless(reason, `the test API server answers as a real one ${how}`, () => {
    const where = `slv-${process.pid}-api${flags.length}`;
    let real: ControlPlane;
    let small: ApiServer;
    /** To each server: versions are its own. */
    let asks: ((path: string) => Promise<Answer>)[];

    beforeAll(async () => {
      runSync('ip', ['netns', 'add', where]);
      netns.run(where, () => runSync('ip', ['link', 'set', 'lo', 'up']));
      real = await ControlPlane.start(where, flags);
      small = await ApiServer.listen({ streams: flags.length === 0 });
      const plain = PODS.map(({ status: _status, ...rest }) => rest as ApiObject);
      await real.apply(namespace('shop'), ...plain);
      small.put(...PODS);
      asks = [
        (path) => real.ask('GET', path),
        async (path) => {
          const response = await fetch(`${small.url}${path}`);
          return { status: response.status, body: await response.text() };
        },
      ];
    });

    afterAll(async () => {
      await small?.[Symbol.asyncDispose]();
      await real?.[Symbol.asyncDispose]();
      runSync('ip', ['netns', 'delete', where]);
    });

    const both = async (question: (ask: (path: string) => Promise<Answer>) => Promise<Answer>) => {
      const [wanted, given] = (await Promise.all(asks.map(question))).map(gist);
      expect(given).toEqual(wanted);
      return wanted as Json;
    };
    const version = async (ask: (path: string) => Promise<Answer>) =>
      JSON.parse((await ask('/api/v1/pods')).body).metadata.resourceVersion as string;

    it.each([
      ['a list', '/api/v1/pods'],
      ['a page', '/api/v1/pods?limit=2'],
      ['an object by name', '/api/v1/nodes?fieldSelector=metadata.name%3Dnowhere'],
      ['a streamed list', `/api/v1/pods?${STREAM}&timeoutSeconds=1`],
      ['a streamed list of nothing', `/api/v1/services?${STREAM}&timeoutSeconds=1&fieldSelector=metadata.name%3Dnone`],
      ['a streamed list that does not say of what age', '/api/v1/pods?watch=true&sendInitialEvents=true'],
      ['a version that is none', '/api/v1/pods?watch=true&resourceVersion=soon'],
      ['a path that is none', '/apis/networking.k8s.io/v1/nothing'],
      ['a list that has not come so far', '/api/v1/pods?resourceVersion=999999&resourceVersionMatch=NotOlderThan'],
      ['a watch that has not come so far', '/api/v1/pods?watch=true&resourceVersion=999999&timeoutSeconds=1'],
      ['a continue token that is none', '/api/v1/pods?limit=1&continue=nonsense'],
    ])('%s', async (name, path) => {
      const said = await both((ask) => ask(path));
      if (name === 'a streamed list' && flags.length === 0) {
        expect(said.events.map(({ type }: Json) => type)).toEqual(['ADDED', 'ADDED', 'ADDED', 'BOOKMARK']);
      }
    });

    it('a second page, and what is left', async () => {
      const said = await both(async (ask) => {
        const first = JSON.parse((await ask('/api/v1/pods?limit=2')).body);
        return ask(`/api/v1/pods?limit=2&continue=${encodeURIComponent(first.metadata.continue)}`);
      });
      expect(said.items).toHaveLength(1);
    });

    it('a watch from now on', async () => {
      const said = await both(async (ask) => {
        const from = await version(ask);
        const watching = ask(`/api/v1/pods?watch=true&resourceVersion=${from}&timeoutSeconds=2`);
        const changed = {
          ...PODS[0],
          metadata: { ...PODS[0]?.metadata, labels: { app: `since-${from}` } },
        } as ApiObject;
        if (ask === asks[1]) small.put(changed);
        else await real.apply({ ...changed, status: undefined });
        return watching;
      });
      expect(said.events).toMatchObject([{ type: 'MODIFIED', name: 'a' }]);
    });

    it('a watch from a version that is forgotten, and the pages of a list', async () => {
      const tokens = await Promise.all(
        asks.map(async (ask) => JSON.parse((await ask('/api/v1/pods?limit=1')).body).metadata),
      );
      for (const labels of [{ app: 'x' }, { app: 'y' }]) {
        const changed = { ...PODS[1], metadata: { ...PODS[1]?.metadata, labels } } as ApiObject;
        small.put(changed);
        await real.apply({ ...changed, status: undefined });
      }
      small.compact();
      await real.compact();
      if (flags.length === 0) {
        await real.stopServer();
        await real.startServer(flags);
      }
      const old = (ask: unknown) => tokens[asks.indexOf(ask as never)];
      const watched = await both((ask) => ask(`/api/v1/pods?watch=true&resourceVersion=${old(ask).resourceVersion}`));
      expect(watched.events).toMatchObject([{ type: 'ERROR', code: 410 }]);
      const page = await both((ask) => ask(`/api/v1/pods?limit=1&continue=${encodeURIComponent(old(ask).continue)}`));
      expect(statusError(page.status, page).code).toBe('EXPIRED');
    });
  });
