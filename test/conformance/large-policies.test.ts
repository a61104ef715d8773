/**
 * Promise 10's other half: what is large is not wrong. Policies of 10,000 rules and of 5 MB, read from files as users write
 * them, are enforced by the kernel to their last rule.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Compiler } from '../../src/compile/compiler.ts';
import { parseAddress } from '../../src/model/address.ts';
import type { ObjectKey } from '../../src/model/cluster.ts';
import { readManifests } from '../../src/sources/directory/directory-source.ts';
import { cast } from '../support/cases/cast.ts';
import { NO_ATTACHMENTS, openTestDataplane, type TestDataplane } from '../support/kernel/dataplanes.ts';
import { firstPacket } from '../support/kernel/packets.ts';
import { desiredState } from '../support/kernel/site.ts';
import { TestNamespace } from '../support/kernel/test-namespace.ts';
import { describeAsRoot } from '../support/privilege.ts';

const API_ADDRESS = '10.244.0.12';
const RULES = 10_000;
const MEGABYTES = 5;
const SHOT = 2;

/** JSON is YAML, but is read faster. */
function policyText(rules: string): string {
  const head =
    '"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"large","namespace":"shop"}';
  return `{${head},"spec":{"podSelector":{"matchLabels":{"app":"api"}},"ingress":[${rules}]}}`;
}

/** Of the i-th peer, each in a block of its own. */
const addressOf = (i: number) => `${11 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.7`;
const blockOf = (i: number) => addressOf(i).replace(/7$/, '0/24');
const portOf = (i: number) => 1000 + i;

describeAsRoot('a large policy', () => {
  let namespace: TestNamespace;
  let opened: TestDataplane;
  let folder: string;

  beforeAll(async () => {
    namespace = new TestNamespace('large', ['uplink', 'api', 'web', 'other']);
    opened = await openTestDataplane({ replace: () => ({ attachments: NO_ATTACHMENTS }) });
    folder = mkdtempSync(join(tmpdir(), 'selvedge-test-'));
  });

  afterAll(() => {
    opened?.remove();
    namespace?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function enforce(rules: string): Promise<void> {
    writeFileSync(join(folder, 'cluster.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items: cast }));
    writeFileSync(join(folder, 'large.json'), policyText(rules));
    const { objects, warnings, synced } = await readManifests([folder]);
    expect({ warnings, synced }).toEqual({ warnings: [], synced: true });
    const compiler = new Compiler({ node: 'node1' });
    compiler.apply(objects.map((object) => ({ type: 'upsert', object })));
    const [uplink, ...seats] = namespace.ifindexes as [number, ...number[]];
    const pods = ['shop/api', 'shop/web', 'audit/web'];
    const node = {
      exit: { ifindex: uplink, name: 'uplink' },
      seatsOf: () => new Map(pods.map((pod, index) => [pod as ObjectKey, seats[index] as number])),
    };
    await opened.dataplane.apply(desiredState(node, compiler.state, new Set()), undefined);
  }

  function arrives(source: string, port: number): boolean {
    const [ingressIfindex, ifindex] = namespace.ifindexes as [number, number];
    const [from, to] = [source, API_ADDRESS].map((text) => parseAddress(text)) as [never, never];
    const packet = firstPacket({ source: from, destination: to, protocol: 'TCP', port, sourcePort: 40_000 });
    const context = { ifindex, ingressIfindex, mark: 0 };
    const program = opened.kernel.object.program('to_pod');
    return namespace.run(() => program.testRun({ packet, context }).returnValue) !== SHOT;
  }

  it('of 10,000 rules is enforced, each with its own peer and port', async () => {
    const rules = Array.from({ length: RULES }, (_, i) => {
      return `{"from":[{"ipBlock":{"cidr":"${blockOf(i)}"}}],"ports":[{"port":${portOf(i)}}]}`;
    });
    await enforce(rules.join());
    const every = Array.from({ length: RULES }, (_, i) => i);
    expect(every.filter((i) => !arrives(addressOf(i), portOf(i)))).toEqual([]);
    expect(every.filter((i) => arrives(addressOf(i), portOf(i) + 1))).toEqual([]);
    expect(arrives(addressOf(RULES), portOf(0))).toBe(false);
  });

  it('of 5 MB is enforced, to its last peer', async () => {
    const peers: string[] = [];
    for (let length = 0; length < MEGABYTES * 1e6; length += (peers.at(-1) as string).length) {
      peers.push(`{"ipBlock":{"cidr":"${blockOf(peers.length)}"}}`);
    }
    await enforce(`{"ports":[{"port":80}],"from":[${peers.join()}]}`);
    expect(peers.length).toBeGreaterThan(100_000);
    const some = [...peers.keys()].filter((i) => i % 37 === 0 || i === peers.length - 1);
    expect(some.filter((i) => !arrives(addressOf(i), 80))).toEqual([]);
    expect(arrives(addressOf(0), 81)).toBe(false);
    expect(arrives(addressOf(peers.length), 80)).toBe(false);
    expect(arrives('203.0.113.9', 80)).toBe(false);
  });
});
