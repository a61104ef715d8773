import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { Subject } from 'rxjs';
import { afterEach, expect, it, vi } from 'vitest';
import { Agent } from '../../src/agent.ts';
import type { Applied, DesiredState } from '../../src/dataplane/contract.ts';
import { MemoryDataplane } from '../../src/dataplane/memory/memory-dataplane.ts';
import { type HealthAddress, HealthServer, parseHealthAddress } from '../../src/health.ts';

import type { ClusterChange } from '../../src/model/cluster.ts';
import type { NodeLinks } from '../../src/model/links.ts';
import { eventually } from '../support/eventually.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const LOOPBACK = { host: '127.0.0.1', port: 0 };

function serve(faults: () => readonly string[], address: HealthAddress = LOOPBACK): HealthServer {
  const health = new HealthServer({
    address,
    faults,
    onFailure: (error) => {
      throw error;
    },
  });
  closing.push(() => health.close());
  return health;
}

async function get(health: HealthServer, path: string): Promise<string> {
  await eventually(() => expect(health.port).toBeDefined());
  const response = await fetch(`http://127.0.0.1:${health.port}${path}`);
  return `${response.status} ${(await response.text()).trimEnd()}`;
}

it('addresses are written as host and port', () => {
  expect(parseHealthAddress('127.0.0.1:9971')).toEqual({ host: '127.0.0.1', port: 9971 });
  expect(parseHealthAddress('[::1]:80')).toEqual({ host: '::1', port: 80 });
  expect(parseHealthAddress(':9971')).toEqual({ port: 9971 });
  for (const wrong of ['9971', '127.0.0.1', '::1:80', '[::1]', 'host:99999', '[x]:1', 'a b:c']) {
    expect(parseHealthAddress(wrong), wrong).toBeUndefined();
  }
});

it('the pages say that the process lives, and what keeps the node from being ready', async () => {
  const faults: string[] = ['not synced yet', 'interface 7 is not protected: no room'];
  const health = serve(() => faults);
  expect(await get(health, '/healthz')).toBe('200 ok');
  expect(await get(health, '/readyz?verbose')).toBe('503 not synced yet\ninterface 7 is not protected: no room');
  faults.length = 0;
  expect(await get(health, '/readyz')).toBe('200 ready');
  expect(await get(health, '/')).toBe('404 /healthz, /readyz or /metrics');
});

it('a port alone is one of all addresses, of both families', async () => {
  const health = serve(() => [], { port: 0 });
  await eventually(() => expect(health.port).toBeDefined());
  for (const host of ['127.0.0.1', '[::1]']) {
    const response = await fetch(`http://${host}:${health.port}/healthz`);
    expect(await response.text()).toBe('ok\n');
  }
});

it('an address that somebody has is told of and tried again', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  closing.push(() => vi.useRealTimers());
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const told = Promise.withResolvers<unknown>();
  const health = new HealthServer({
    address: { host: '127.0.0.1', port },
    faults: () => [],
    onFailure: (error, retryMs) => told.resolve({ error, retryMs }),
  });
  closing.push(() => health.close());
  expect(await told.promise).toMatchObject({ error: { code: 'EADDRINUSE' }, retryMs: 5_000 });
  other.close();
  await once(other, 'close');
  await vi.advanceTimersByTimeAsync(5_000);
  vi.useRealTimers();
  expect(await get(health, '/healthz')).toBe('200 ok');
});

/** Takes nothing while it is broken. */
class BreakableDataplane extends MemoryDataplane {
  broken = false;

  override guard(): void {
    if (this.broken) throw new Error('no room\nand more');
  }

  override async apply(state: DesiredState): Promise<Applied> {
    if (this.broken) throw new Error('policy: 9 needed, there is room for 8');
    return super.apply(state);
  }
}

function agentOn(dataplane: MemoryDataplane) {
  const source = new Subject<ClusterChange>();
  const links = new Subject<NodeLinks>();
  const agent = new Agent({ node: 'node1', source, links, dataplane, pending: 'auto', log: pino({ level: 'silent' }) });
  agent.start();
  closing.push(() => agent.close());
  const link = (ifindex: number) => ({ ifindex, name: `veth${ifindex}`, addresses: [] });
  const seen = (...indexes: number[]) =>
    links.next({
      pods: new Map(indexes.map((index) => [index, link(index)])),
      exits: new Map(),
      ownAddresses: new Set(),
      gone: new Set(),
    });
  const heard = (synced: boolean) => source.next({ events: [], warnings: [], synced });
  return { agent, seen, heard, source };
}

it('a node is ready once all was heard and is in force, and not while something is unprotected', async () => {
  const dataplane = new BreakableDataplane();
  const { agent, seen, heard } = agentOn(dataplane);
  expect(agent.faults()).toEqual(['not synced yet']);
  seen(5);
  heard(false);
  expect(agent.faults()).toEqual(['not synced yet']);
  heard(true);
  await eventually(() => expect(agent.faults()).toEqual([]));

  // A guard that fails leaves an interface open until the next state is in force.
  dataplane.broken = true;
  seen(5, 7);
  expect(agent.faults()).toEqual(['interface 7 is not protected: no room']);
  await eventually(() => expect(agent.faults()).toHaveLength(2));
  expect(agent.faults()[1]).toBe('the last state is not in force: policy: 9 needed, there is room for 8');
  dataplane.broken = false;
  await eventually(() => expect(agent.faults()).toEqual([]));
});

it('a node is not ready while nobody follows its interfaces or the cluster', async () => {
  const { agent, seen, heard, source } = agentOn(new MemoryDataplane());
  seen();
  heard(true);
  await eventually(() => expect(agent.faults()).toEqual([]));
  source.error(new Error('broken'));
  expect(agent.faults()).toEqual(['objects are not followed: broken']);
});
