// The files of the image, staged as the Dockerfile does it, run as the manifests say: the DaemonSet's agent enforces, is rolled to another
// version and back under traffic, and the cleanup's containers leave nothing. On both data planes, judged by packets.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import { listTc, netlink, netns } from '../../src/native.ts';
import { FedNode } from '../agent/support/fed-node.ts';
import { PinDir } from '../agent/support/node-agent.ts';
import { Traffic } from '../agent/support/traffic.ts';
import { policy } from '../sources/kubernetes/objects.ts';
import { eventually } from '../support/eventually.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { ContainerProcess, NodeFiles } from './container.ts';
import { StagedTrees } from './staged-trees.ts';
import { type Container, only, readManifests } from './support.ts';

const MOST_MB = 200;
const PODS = ['web', 'api', 'db'];
const agentPod = only(readManifests('selvedge.yaml'), 'DaemonSet').spec.template.spec;
const cleanupPod = only(readManifests('cleanup.yaml'), 'DaemonSet').spec.template.spec;
const FLANNEL = JSON.stringify(
  { name: 'cbr0', cniVersion: '0.3.1', plugins: [{ type: 'flannel' }, { type: 'portmap' }] },
  undefined,
  2,
);

/** In place of Flannel's netpol.enabled: what the process of that one would say, as rules in its table. */
const OTHER_ENGINE = `table inet kube-network-policies {
  chain forward {
    type filter hook forward priority filter - 5;
    ct state established accept
    ip saddr 10.66.0.10 ip daddr 10.66.0.11 accept
    ip daddr 10.66.0.0/24 drop
  }
}`;

describeAsRoot('the staged tree', () => {
  let trees: StagedTrees;

  beforeAll(async () => {
    trees = await StagedTrees.make();
  });

  afterAll(() => trees?.[Symbol.dispose]());

  it(`is under ${MOST_MB} MB, and says how large each part is`, () => {
    const [, total] = /^in all +([\d.]+) MiB$/m.exec(trees.report) ?? [];
    expect(Number(total) * 1.048576).toBeLessThan(MOST_MB);
    for (const part of ['Node', 'npm packages', 'native addon', 'BPF object', 'CNI plugin', 'system']) {
      expect(trees.report).toMatch(new RegExp(`^${part} +[\\d.]+ MiB$`, 'm'));
    }
  });

  it('refuses to write into a folder that holds something', () => {
    expect(() => execFileSync(process.execPath, ['deploy/stage.ts', trees.now], { stdio: 'pipe' })).toThrow(
      /is not empty/,
    );
  });

  describe.each([
    ['bpf', []],
    ['ipset', ['--dataplane=ipset']],
  ])('on a node, by the manifests: %s', (dataplane, choice) => {
    let fed: FedNode;
    let files: NodeFiles;
    let agent: ContainerProcess;
    let traffic: Traffic | undefined;
    let before: string;

    const contain = (image: string, container: Container, pod: typeof agentPod, args: readonly string[] = []) => {
      return new ContainerProcess({ tree: image, files, namespace: fed.node.namespace, pod, container, args });
    };
    const startAgent = async (image: string) => {
      const { path: confDir } = CNI.confDir;
      const [, kubeconfig = ''] = fed.where;
      const args = [...choice, '--kubeconfig', kubeconfig, `--cni-conf-dir=${confDir}`];
      agent = new ContainerProcess({
        tree: image,
        files,
        namespace: fed.node.namespace,
        // As the chart has it with cni.enabled.
        pod: { ...agentPod, volumes: [...agentPod.volumes, ...cniVolumes] },
        container: { ...agentPod.containers[0], volumeMounts: [...agentPod.containers[0].volumeMounts, ...cniMounts] },
        args,
        more: [join(kubeconfig, '..')],
      });
      await agent.until(({ event }) => event === 'ready');
    };
    const conflist = () => join(files.pathOf(CNI.confDir), '10-flannel.conflist');

    beforeAll(async () => {
      fed = await FedNode.start();
      files = new NodeFiles(new PinDir().path);
      writeFileSync(conflist(), FLANNEL);
      fed.node.track();
      fed.server.put(policy('shop', 'default-deny', { podSelector: {}, policyTypes: ['Ingress'], ingress: [] }));
      fed.admit('api', 'web');
      for (const [place, name] of PODS.entries()) fed.start(name, `10.66.0.${place + 10}`);
      for (const name of PODS) await fed.node.whenUp(name);
      before = tracesOn(fed);
    });

    afterEach(() => traffic?.close());

    afterAll(async () => {
      if (agent?.running) await agent.stop('SIGKILL');
      await fed?.[Symbol.asyncDispose]();
      files?.[Symbol.dispose]();
    });

    it('the agent takes over from an engine that was there, under traffic, and enforces alone', async () => {
      netns.run(fed.node.namespace, () => runSync('nft', ['-f', '-'], { input: OTHER_ENGINE }));
      const running = await begin();
      const asked = async () => {
        const { rounds } = running;
        await eventually(() => expect(running.rounds).toBeGreaterThan(rounds + 20));
      };
      await asked();
      await startAgent(trees.now);
      expect(agent.words).toContain(`"dataplane":"${dataplane}"`);
      await asked();
      // The guide's last step.
      netns.run(fed.node.namespace, () => runSync('nft', ['delete', 'table', 'inet', 'kube-network-policies']));
      await asked();
      const { rounds, messages, wrong } = await running.end();
      console.log(`${dataplane}: took over: ${rounds} rounds, ${messages} messages`);
      expect(wrong).toEqual([]);
    });

    it('its commands answer in the container', async () => {
      expect(await agent.exec('selvedge', 'status')).toMatch(/^state +ready$/m);
      expect(await agent.exec('selvedge', 'status', '--policy', 'shop/default-deny')).toContain('shop/db');
      fed.node.reaches('db', 'api');
      const told = async () => {
        expect(await agent.exec('selvedge', 'flows', '--from', 'shop/db', '--to', 'shop/api')).toContain(
          'shop/default-deny',
        );
      };
      await eventually(told);
      const ends = ['--from', 'shop/db', '--to', 'shop/api', '--port', '7000/udp'];
      expect(await agent.exec('selvedge', 'explain', ...ends)).toMatch(/^denied: .*\n.*\n.*shop\/default-deny/);
      expect(await agent.exec('selvedge', 'explain', '--verify')).toMatch(/^equal: /);
    });

    it('it is rolled to another version and back under traffic: nothing is let through or lost', async () => {
      const running = await begin();
      for (const image of [trees.next, trees.now]) {
        expect(await agent.stop()).toBe('exited with 0');
        await startAgent(image);
        const { rounds } = running;
        await eventually(() => expect(running.rounds).toBeGreaterThan(rounds + 20));
      }
      const { rounds, messages, wrong } = await running.end();
      console.log(`${dataplane}: rolled to the next version and back: ${rounds} rounds, ${messages} messages`);
      expect(wrong).toEqual([]);
    });

    it('the containers of the cleanup wait for it to be gone, and leave nothing', async () => {
      const [cleanup, cni] = cleanupPod.initContainers as [Container, Container];
      const early = contain(trees.now, cleanup, cleanupPod);
      expect(await early.ended).toBe('exited with 1');
      expect(early.words).toContain('another agent');
      expect(fed.node.reaches('db', 'api')).toBe(false);
      expect(JSON.parse(readFileSync(conflist(), 'utf8')).plugins).toHaveLength(3);

      await agent.stop();
      expect(fed.node.reaches('db', 'api')).toBe(false);
      const done = { ...cleanupPod.containers[0], volumeMounts: [], command: ['sleep', '0'] };
      for (const container of [cleanup, cni, done]) {
        const process = contain(trees.now, container, cleanupPod);
        expect(await process.ended, process.words).toBe('exited with 0');
      }
      for (const from of PODS) for (const to of PODS) if (from !== to) expect(fed.node.reaches(from, to)).toBe(true);
      expect(tracesOn(fed)).toBe(before);
      expect(readdirSync(files.pathOf({ path: '/sys/fs/bpf' }))).toEqual([]);
      expect(readdirSync(files.pathOf({ path: '/run' }))).toEqual(['xtables.lock']);
      expect(readFileSync(conflist(), 'utf8')).toBe(FLANNEL);
      expect(readdirSync(files.pathOf(CNI.confDir))).toEqual(['10-flannel.conflist']);
      expect(readdirSync(files.pathOf(CNI.binDir))).toEqual([]);
    });

    const begin = async () => {
      traffic = await Traffic.start({
        node: fed.node,
        admitted: ['web api'],
        denied: ['db api', 'web db', 'db web', 'api web', 'api db'],
        connected: ['web api'],
      });
      return traffic;
    };
  });
});

const cniVolumes = cleanupPod.volumes.filter(({ name }) => name.startsWith('cni-'));
const cniMounts = cleanupPod.initContainers?.[1]?.volumeMounts ?? [];
const CNI = {
  confDir: { path: '/etc/cni/net.d', type: 'DirectoryOrCreate' },
  binDir: { path: '/opt/cni/bin', type: 'DirectoryOrCreate' },
};

/** iptables-nft leaves tables that it has used, with their own chains. */
const EMPTY = /^table ip6? \w+ \{\n(\tchain [A-Z]+ \{\n\t\ttype .* policy accept;\n\t\}\n)+\}\n/gm;

/** All rules, sets, interfaces, and programs on these: of the node, but for what counts packets. */
function tracesOn({ node: { namespace } }: FedNode): string {
  const asked = ['nft --stateless list ruleset', 'iptables-legacy-save', 'ip6tables-legacy-save', 'ipset list -name'];
  return netns.run(namespace, () => {
    const rules = asked.map((line) =>
      runSync('sh', ['-c', line])
        .replaceAll(/^#.*\n|\[\d+:\d+\]/gm, '')
        .replaceAll(EMPTY, ''),
    );
    const programs = netlink.links().map(({ ifindex, name }) => {
      const on = (['ingress', 'egress'] as const).flatMap((direction) => listTc(ifindex, direction));
      return `${name}: ${on.length} programs`;
    });
    return [...rules, ...programs].join('\n');
  });
}
