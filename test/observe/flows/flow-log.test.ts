// Verdicts into flows: names, repetitions, limits, readers. Seconds are virtual.
import pc from 'picocolors';
import { Subject } from 'rxjs';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Flow, FlowLine, FlowQuery } from '../../../src/api/contract.ts';
import type { Address } from '../../../src/model/address.ts';
import type { ObjectKey } from '../../../src/model/cluster.ts';
import type { VerdictEvent } from '../../../src/model/verdict-event.ts';
import { FlowLog } from '../../../src/observe/flows/flow-log.ts';
import { FlowTable } from '../../../src/observe/flows/flow-table.ts';

const POD = 'shop/web' as ObjectKey;
const CLIENT = '10.0.0.9' as Address;

function event(more: Partial<VerdictEvent> = {}): VerdictEvent {
  return {
    time: process.hrtime.bigint(),
    generation: 1n,
    verdict: 'deny',
    reason: 'drop-policy',
    direction: 'ingress',
    hook: 'to-pod',
    ifindex: 7,
    pod: POD,
    source: CLIENT,
    destination: '10.0.0.2' as Address,
    sourcePort: 40_000,
    destinationPort: 80,
    ethertype: 0x0800,
    protocol: 6,
    length: 60,
    policies: ['shop/deny' as ObjectKey],
    ...more,
  };
}

let verdicts: Subject<VerdictEvent>;
let lost = 0;
let log: FlowLog;
let client: ObjectKey;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  verdicts = new Subject();
  lost = 0;
  const losses = async () => ({ event: 0, limited: lost, counter: 0, flow: 0, fragment: 0 });
  client = 'other/client' as ObjectKey;
  const nameOf = (address: Address) => (address === CLIENT ? { pod: client, node: 'node2' } : {});
  log = new FlowLog({ node: 'node1', names: { nameOf }, observation: { verdicts, losses } });
  log.start();
});

afterEach(() => {
  log.close();
  vi.useRealTimers();
});

async function kept(query: FlowQuery = {}): Promise<FlowLine[]> {
  const lines: FlowLine[] = [];
  for await (const line of log.open(query)) lines.push(line);
  return lines;
}

it('has everybody by name, and the pod that decided by its interface', async () => {
  verdicts.next(event());
  expect(await kept()).toMatchObject([
    {
      node: 'node1',
      from: { address: CLIENT, pod: 'other/client', node: 'node2' },
      to: { address: '10.0.0.2', pod: POD },
      protocol: 'TCP',
      sourcePort: 40_000,
      port: 80,
      policies: ['shop/deny'],
      count: 1,
    },
  ]);
});

it('tells a repeated flow once a second, with how often it was', async () => {
  for (let i = 0; i < 5; i++) verdicts.next(event({ sourcePort: 40_000 + i }));
  expect((await kept()).length).toBe(1);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await kept()).toMatchObject([{ count: 1 }, { count: 4 }]);
  await vi.advanceTimersByTimeAsync(2_000);
  verdicts.next(event());
  expect(await kept()).toMatchObject([{ count: 1 }, { count: 4 }, { count: 1 }]);
});

it('has the names of the moment, also of what goes on', async () => {
  verdicts.next(event());
  client = 'other/next' as ObjectKey;
  verdicts.next(event());
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await kept()).toMatchObject([{ from: { pod: 'other/client' } }, { from: { pod: 'other/next' } }]);
});

it('names the pod that sent it when the address is forged, and nothing of whose address it is', async () => {
  const pod = 'shop/intruder' as ObjectKey;
  verdicts.next(event({ reason: 'drop-source', direction: 'egress', hook: 'from-pod', pod, policies: [] }));
  const [flow] = (await kept()) as [Flow];
  expect(flow.from).toEqual({ address: CLIENT, pod, node: 'node1' });
  const table = new FlowTable(pc.createColors(false)).line(flow);
  expect(table).toMatch(
    /denied +shop\/intruder +10\.0\.0\.2 +80\/tcp +egress: not the pod's own address: 10\.0\.0\.9\n$/,
  );
});

it('is told anew when another rule admits', async () => {
  const rule = { policy: 'shop/web' as ObjectKey, direction: 'ingress', index: 0 } as const;
  verdicts.next(event({ verdict: 'allow', reason: 'allow-rule', rule }));
  verdicts.next(event({ verdict: 'allow', reason: 'allow-rule', rule: { ...rule, index: 1 } }));
  expect(await kept()).toMatchObject([
    { rule: { policy: 'shop/web', field: 'spec.ingress[0]' } },
    { rule: { field: 'spec.ingress[1]' } },
  ]);
});

it('tells who comes later what is missing', async () => {
  for (let port = 1; port <= 1_500; port++) verdicts.next(event({ destinationPort: port }));
  await vi.advanceTimersByTimeAsync(2_000);
  const later = await kept({ last: 2 });
  expect(later).toMatchObject([{ port: 999 }, { port: 1000 }, { kind: 'lost', why: 'limit', count: 500 }]);
  expect(await kept({ port: '7' })).toMatchObject([{ port: 7 }, { kind: 'lost' }]);
  expect(await kept({ last: 0 })).toEqual([]);
});

it('is told anew when other policies decide', async () => {
  verdicts.next(event());
  verdicts.next(event({ policies: ['shop/other' as ObjectKey] }));
  expect(await kept()).toMatchObject([{ policies: ['shop/deny'] }, { policies: ['shop/other'] }]);
});

it('tells no more than a thousand different flows in a second, and how many there were', async () => {
  const reader = log.open({ follow: true, last: 0 })[Symbol.asyncIterator]();
  for (let port = 1; port <= 1_500; port++) verdicts.next(event({ destinationPort: port }));
  await vi.advanceTimersByTimeAsync(1_000);
  let lines = 0;
  while (true) {
    const { value } = await reader.next();
    if ((value as FlowLine).kind === 'lost') {
      expect(value).toMatchObject({ why: 'limit', count: 500 });
      break;
    }
    lines++;
  }
  expect(lines).toBe(1_000);
});

it('tells what the kernel had no room for', async () => {
  const reader = log.open({ follow: true, last: 0 })[Symbol.asyncIterator]();
  lost = 3;
  verdicts.next(event());
  expect((await reader.next()).value).toMatchObject({ kind: 'flow' });
  await vi.advanceTimersByTimeAsync(1_000);
  expect((await reader.next()).value).toMatchObject({ kind: 'lost', why: 'kernel', count: 3 });
  lost = 45;
  verdicts.next(event({ destinationPort: 81 }));
  await vi.advanceTimersByTimeAsync(1_000);
  expect((await reader.next()).value).toMatchObject({ kind: 'flow' });
  expect((await reader.next()).value).toMatchObject({ kind: 'lost', why: 'kernel', count: 42 });
});

it('lets a slow reader miss lines, tells it how many, and the others all', async () => {
  const slow = log.open({ follow: true, last: 0 })[Symbol.asyncIterator]();
  for (let second = 0; second < 3; second++) {
    for (let port = 1; port <= 600; port++) verdicts.next(event({ destinationPort: second * 1000 + port }));
    await vi.advanceTimersByTimeAsync(2_000);
  }
  let lines = 0;
  let missed = 0;
  while (missed === 0) {
    const line = (await slow.next()).value as FlowLine;
    if (line.kind === 'lost') missed = line.count;
    else lines++;
  }
  expect([lines, missed]).toEqual([1024, 1800 - 1024]);
  expect((await kept()).length).toBe(1800);
});

it('forgets the oldest, and a reader that has gone', async () => {
  const gone = new AbortController();
  const reader = log.open({ follow: true, last: 0 }, gone.signal)[Symbol.asyncIterator]();
  gone.abort();
  expect((await reader.next()).done).toBe(true);
  for (let second = 0; second < 5; second++) {
    for (let port = 1; port <= 1000; port++) verdicts.next(event({ destinationPort: second * 1000 + port }));
    await vi.advanceTimersByTimeAsync(2_000);
  }
  const all = await kept();
  expect(all.length).toBe(4096);
  expect(all.at(-1)).toMatchObject({ port: 5000 });
  expect(await kept({ last: 2 })).toMatchObject([{ port: 4999 }, { port: 5000 }]);
  expect(await kept({ last: 0 })).toEqual([]);
});

it.each<[FlowQuery, number]>([
  [{}, 1],
  [{ namespace: 'other' }, 1],
  [{ namespace: 'nobody,shop' }, 1],
  [{ namespace: 'nobody' }, 0],
  [{ pod: 'shop/web' }, 1],
  [{ from: 'shop/web' }, 0],
  [{ from: 'other/client' }, 1],
  [{ from: 'other/' }, 1],
  [{ from: '10.0.0.0/24', to: '10.0.0.2' }, 1],
  [{ to: '10.1.0.0/16' }, 0],
  [{ port: '80' }, 1],
  [{ port: '443,80/tcp' }, 1],
  [{ port: '80/udp' }, 0],
  [{ port: 'tcp' }, 1],
  [{ verdict: 'deny' }, 1],
  [{ verdict: 'allow' }, 0],
  [{ policy: 'shop/deny' }, 1],
  [{ policy: 'shop/other' }, 0],
  [{ since: '1m' }, 1],
  [{ since: '2999-01-01T00:00:00Z' }, 0],
])('filters by %j', async (query, count) => {
  verdicts.next(event());
  expect((await kept(query)).length).toBe(count);
});
