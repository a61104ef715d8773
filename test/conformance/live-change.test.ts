/**
 * Agents that are started again with the other data plane, under traffic: it is whole before the one before it goes, so no
 * packet is lost and none gets through. Conntrack is in use on the nodes, as kube-proxy and Flannel have it.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firstValueFrom } from 'rxjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import type { DataplaneKind } from '../../src/dataplane/select.ts';
import { Agents } from '../../src/lab/agents/agents.ts';
import { type ClusterView, ClusterViews } from '../../src/lab/cluster-view.ts';
import { Lab } from '../../src/lab/lab.ts';
import type { Station } from '../../src/lab/probing/station.ts';
import { parseEnd } from '../../src/model/query.ts';
import { netns } from '../../src/native.ts';
import { directorySource } from '../../src/sources/directory/directory-source.ts';
import { policy } from '../support/cases/case.ts';
import { cast } from '../support/cases/cast.ts';
import { eventually } from '../support/eventually.ts';
import { type Attempts, openAttempts } from '../support/kernel/attempts.ts';
import { makeTcpPatient } from '../support/kernel/patient-tcp.ts';
import { retransmissions } from '../support/kernel/retransmissions.ts';
import { openStream, type Stream } from '../support/kernel/stream.ts';
import type { ClusterObject } from '../support/oracle/objects.ts';
import { PATIENCE } from '../support/patience.ts';
import { describeAsRoot } from '../support/privilege.ts';

const SEND_MS = 5;
const TRY_MS = 100;
const ADMITTED = 7000;
const DENIED = 9000;

const web = { matchLabels: { app: 'web' } };
const back = { matchLabels: { tier: 'back' } };
/** Everybody is isolated in both directions, so that replies pass as replies or not at all. */
const isolating: ClusterObject[] = [
  policy('shop/all', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }),
  policy('shop/out', { podSelector: web, policyTypes: ['Egress'], egress: [{ to: [{ podSelector: back }] }] }),
  policy('shop/in', { podSelector: back, ingress: [{ from: [{ podSelector: web }] }] }),
];

describeAsRoot('agents started again with the other data plane', () => {
  let folder: string;
  let lab: Lab;
  let agents: Agents | undefined;
  let pinDir: string;
  let streams: Stream[] = [];
  let denied: Attempts[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), `slv-${process.pid}-`));
    const { cluster } = await write([...cast, ...isolating]);
    lab = await Lab.start({ cluster, backend: 'vxlan', services: true });
    for (const { name } of lab.namespaces) netns.run(name, makeTcpPatient);
    pinDir = lab.mountBpffs();
  });

  afterAll(async () => {
    for (const one of [...streams, ...denied]) one.close();
    await agents?.stop();
    lab?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function write(items: readonly ClusterObject[]): Promise<ClusterView> {
    writeFileSync(join(folder, 'all.yaml'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    return new ClusterViews().next(await firstValueFrom(directorySource([folder])));
  }

  async function restartWith(dataplane: DataplaneKind, { revision }: ClusterView): Promise<void> {
    await agents?.stop();
    agents = new Agents({ manifests: [folder], pinDir, dataplane });
    await agents.follow(lab.interfaces());
    await agents.settled(revision);
    for (const { namespace } of lab.interfaces()) expect(agents.dataplaneOf(namespace)).toBe(dataplane);
  }

  /** What of each data plane is on the nodes. */
  function traces() {
    const found = lab.interfaces().map(({ node, namespace, inode }) => {
      const said = (name: string, ...args: string[]) => netns.run(namespace, () => runSync(name, args));
      const rules = [
        said('iptables-save'),
        said('ip6tables-save'),
        said('ipset', 'save'),
        said('nft', 'list', 'tables'),
      ];
      return { bpf: existsSync(`${pinDir}/${node}-${inode}`), ipset: /selvedge/i.test(rules.join()) };
    });
    return { bpf: found.some(({ bpf }) => bpf), ipset: found.some(({ ipset }) => ipset) };
  }

  it('lose nothing and let nothing through', async () => {
    const view = await write([...cast, ...isolating]);
    await restartWith('bpf', view);
    expect(traces()).toEqual({ bpf: true, ipset: false });
    streams = await openKept(lab);
    denied = await openDenied(lab);
    const talking = setInterval(() => {
      for (const stream of streams) stream.send();
    }, SEND_MS);
    const trying = setInterval(() => {
      for (const one of denied) one.try();
    }, TRY_MS);

    await restartWith('ipset', view);
    expect(traces()).toEqual({ bpf: false, ipset: true });
    streams.push(...(await openKept(lab, 100)));
    await restartWith('bpf', view);
    expect(traces()).toEqual({ bpf: true, ipset: false });

    for (const timer of [talking, trying]) clearInterval(timer);
    const arrived = Promise.all(streams.map((stream) => stream.arrived(stream.sent)));
    await Promise.race([arrived, new Promise((resolve) => setTimeout(resolve, PATIENCE).unref())]);
    const lost = streams.filter(({ sent, received }) => sent !== received);
    expect(lost.map(({ name, sent, received }) => ({ name, lost: sent - received }))).toEqual([]);
    console.log(`${streams.reduce((sum, { sent }) => sum + sent, 0)} messages on ${streams.length} connections`);
    expect(streams.flatMap((stream) => retransmissions(stream))).toEqual([]);
    expect(denied.filter(({ passed }) => passed > 0).map(({ name, passed }) => ({ name, passed }))).toEqual([]);

    // That they were denied says something only if they get through when they may.
    const { revision } = await write(cast);
    await agents?.settled(revision);
    await eventually(() => {
      for (const one of denied) one.try();
      expect(denied.filter(({ passed }) => passed === 0)).toEqual([]);
    }, TRY_MS);
  });
});

/** Over TCP and UDP in both families, with either side sending: to a pod of the same node and to one of the other. */
function openKept(lab: Lab, from = 0): Promise<Stream[]> {
  const kinds = (['IPv4', 'IPv6'] as const).flatMap((family) =>
    (['TCP', 'UDP'] as const).flatMap((protocol) =>
      (['up', 'down'] as const).map((direction) => ({ family, protocol, direction })),
    ),
  );
  const wanted = ['shop/api', 'shop/db'].flatMap((target) => kinds.map((kind) => ({ target, ...kind })));
  const opened = wanted.map(({ target, family, ...kind }, place) => {
    const ends = { from: station(lab, 'shop/web', family), to: station(lab, target, family) };
    return openStream({ ...ends, port: ADMITTED + from + place, ...kind });
  });
  return Promise.all(opened);
}

function openDenied(lab: Lab): Promise<Attempts[]> {
  const wanted = ['shop/api', 'shop/db'].flatMap((target) =>
    (['IPv4', 'IPv6'] as const).flatMap((family) =>
      (['TCP', 'UDP'] as const).map((protocol) => ({ target, family, protocol })),
    ),
  );
  const opened = wanted.map(({ target, family, protocol }, place) => {
    const ends = { from: station(lab, 'audit/web', family), to: station(lab, target, family) };
    return openAttempts({ ...ends, protocol, port: DENIED + place });
  });
  return Promise.all(opened);
}

function station(lab: Lab, end: string, family: 'IPv4' | 'IPv6'): Station {
  const found = lab.stations.find(parseEnd(end));
  return found.find(({ address }) => address.includes(':') === (family === 'IPv6')) as Station;
}
