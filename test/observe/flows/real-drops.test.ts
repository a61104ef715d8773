/** What an agent tells of real packets: forged ones, ARP for others, admitted connections, more drops than anybody can read. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firstValueFrom } from 'rxjs';
import { PacketSocket } from 'selvedge-libbpf';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { askAgent, followAgent } from '../../../src/api/client.ts';
import { type Flow, type FlowLine, PATHS, type Status } from '../../../src/api/contract.ts';
import { Agents } from '../../../src/lab/agents/agents.ts';
import { ClusterViews } from '../../../src/lab/cluster-view.ts';
import { Lab } from '../../../src/lab/lab.ts';
import { probe } from '../../../src/lab/probing/probe.ts';
import type { Station } from '../../../src/lab/probing/station.ts';
import { parseEnd } from '../../../src/model/query.ts';
import { netlink, netns } from '../../../src/native.ts';
import { directorySource } from '../../../src/sources/directory/directory-source.ts';
import { SHOP } from '../../api/shop-lab.ts';
import { arp } from '../../bpf/support/frames.ts';
import { ipFrame, udpHeader } from '../../support/kernel/packets.ts';
import { describeAsRoot } from '../../support/privilege.ts';

const UDP = 17;
const FLOOD = 50_000;
const MAIN = new URL('../../../src/main.ts', import.meta.url).href;

function linkIn(namespace: string): netlink.Link {
  const links = netns.run(namespace, () => netlink.links());
  return links.find(({ kind }) => kind === 'veth') as netlink.Link;
}

describeAsRoot('flows of real packets', () => {
  const folder = mkdtempSync(join(tmpdir(), 'selvedge-flows-'));
  let lab: Lab;
  let agents: Agents;

  beforeAll(async () => {
    const view = new ClusterViews().next(await firstValueFrom(directorySource([SHOP])));
    lab = await Lab.start({ cluster: view.cluster, backend: 'vxlan' });
    const script = join(folder, 'agent.mjs');
    writeFileSync(script, `process.argv.push('--events', 'all');\nawait import(${JSON.stringify(MAIN)});\n`);
    agents = new Agents({ manifests: [SHOP], dataplane: 'bpf', pinDir: lab.mountBpffs(), script });
    await agents.follow(lab.interfaces());
    await agents.settled(view.revision, AbortSignal.timeout(60_000));
  });

  afterAll(async () => {
    await agents?.stop();
    lab?.close();
    rmSync(folder, { recursive: true });
  });

  const station = (end: string) => lab.stations.find(parseEnd(end))[0] as Station;
  const socket = (node: number) => agents.socketOf(lab.interfaces()[node - 1]?.namespace as string);

  /** Whatever is put on the wire inside the pod. */
  function wireOf(pod: string): { send(frame: Uint8Array): void } & Disposable {
    const { namespace } = station(pod);
    const packets = netns.run(namespace, () => new PacketSocket({ ifindex: linkIn(namespace).ifindex }));
    return { send: (frame) => packets.send(frame), [Symbol.dispose]: () => packets.close() };
  }

  /** The lines that come while it is done, up to the one that is wanted. */
  async function told(
    node: number,
    filter: Readonly<Record<string, string>>,
    { meanwhile, until = () => true }: { meanwhile: () => unknown; until?: (line: FlowLine) => boolean },
  ): Promise<FlowLine[]> {
    const parameters = { follow: 'true', last: '0', ...filter };
    const signal = AbortSignal.timeout(30_000);
    const lines = followAgent<FlowLine>(socket(node), PATHS.flows, { parameters, signal });
    const first = lines.next();
    // The agent has the reader once it has answered what was asked after it.
    await askAgent(socket(node), PATHS.status);
    await meanwhile();
    const all: FlowLine[] = [];
    for (let next = await first; !next.done; next = await lines.next()) {
      all.push(next.value);
      if (until(next.value)) {
        await lines.return(undefined);
        return all;
      }
    }
    throw new Error(`not told; but ${JSON.stringify(all)}`);
  }

  it('name the pod that forged an address, not the one whose address it is', async () => {
    using wire = wireOf('intruder/intruder');
    const [victim, database] = [station('api/api').address, station('database/database').address];
    const frame = ipFrame(victim, database, UDP, udpHeader(4_000, 5_300));
    const [line] = await told(2, { port: '5300/udp' }, { meanwhile: () => wire.send(frame) });
    expect(line).toMatchObject({ verdict: 'deny', reason: 'drop-source', to: { pod: 'database/database' } });
    expect((line as Flow).from).toEqual({ address: victim, pod: 'intruder/intruder', node: 'node2' });
  });

  it('tell of ARP in the name of another', async () => {
    using wire = wireOf('intruder/intruder');
    const frame = arp({ sender: station('database/database').address, target: '10.244.1.1', operation: 2 });
    const isArp = (line: FlowLine) => line.kind === 'flow' && line.reason === 'drop-arp';
    const lines = await told(2, { verdict: 'deny' }, { meanwhile: () => wire.send(frame), until: isArp });
    expect(lines.at(-1)).toMatchObject({ protocol: '0x0806', from: { pod: 'intruder/intruder' } });
  });

  it('tell of admitted connections and of the rule', async () => {
    const [from, to] = [station('api/api'), station('database/database')];
    const meanwhile = () => probe({ from, to, protocol: 'TCP', port: 5432 });
    const [line] = await told(2, { verdict: 'allow', pod: 'database/database', port: '5432' }, { meanwhile });
    expect(line).toMatchObject({
      reason: 'allow-rule',
      direction: 'ingress',
      from: { pod: 'api/api', node: 'node1' },
      rule: { policy: 'database/database-from-api', field: 'spec.ingress[0]' },
    });
  });

  it('a flood of drops is counted, told or told to be left out, and the agent answers meanwhile', async () => {
    using wire = wireOf('intruder/intruder');
    const [from, to] = [station('intruder/intruder').address, station('database/database').address];
    const mac = linkIn(station('database/database').namespace).mac as string;
    const frames = Array.from({ length: 64 }, (_, i) => {
      const frame = ipFrame(from, to, UDP, udpHeader(4_000, 20_000 + i));
      // To an address that it does not know the bridge would send it everywhere, and each copy is dropped.
      frame.set(Buffer.from(mac.replaceAll(':', ''), 'hex'), 0);
      return frame;
    });
    let ready: Status | undefined;
    let sum = 0;
    const lines = await told(
      2,
      { from: 'intruder/intruder' },
      {
        meanwhile: async () => {
          let sent = 0;
          while (sent < FLOOD) {
            try {
              wire.send(frames[sent % frames.length] as Buffer);
              sent++;
            } catch (error) {
              if (!['EAGAIN', 'ENOBUFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
            }
            if (sent % 10_000 === 0) ready = await askAgent<Status>(socket(2), PATHS.status);
          }
        },
        until: (line) => {
          if (line.kind !== 'lost' || line.why !== 'reader') sum += line.count;
          return sum >= FLOOD;
        },
      },
    );
    expect(ready?.ready).toBe(true);
    expect(sum).toBe(FLOOD);
    expect(lines.length).toBeLessThan(2_000);
    expect(lines.some((line) => line.kind === 'lost' && line.why === 'kernel')).toBe(true);
  });
});
