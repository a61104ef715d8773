/** What the checks say of a node's own files and kernel: as they are on a Flannel node, and with what goes wrong there. */

import { mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { withPlugin } from '../../src/cni/conf-list.ts';
import { clock } from '../../src/doctor/checks/kernel.ts';
import { CHECKS } from '../../src/doctor/checks.ts';
import { examine } from '../../src/doctor/examine.ts';
import { NodeFacts } from '../../src/doctor/node-facts.ts';
import { FedNode } from '../agent/support/fed-node.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { ExaminedNode } from './support/examined-node.ts';

const CONFLIST = '/etc/cni/net.d/10-flannel.conflist';
const FLANNEL = JSON.stringify({
  name: 'cbr0',
  cniVersion: '0.3.1',
  plugins: [
    { type: 'flannel', delegate: { hairpinMode: true, isDefaultGateway: true } },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
});
const SUBNET_ENV =
  'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n';
const SOCKET = '/run/selvedge/agent.sock';

describeAsRoot('of a node', () => {
  let server: Server | undefined;
  afterEach(() => void server?.close());

  it('with Flannel: its chain of plugins, backend, networks and MTU', async () => {
    using node = new ExaminedNode();
    node.file(CONFLIST, FLANNEL).file('/run/flannel/subnet.env', SUBNET_ENV);
    node.addFlannelLink();
    const found = await node.find(['cni-config', 'cni-veth', 'flannel', 'mtu']);
    expect([...found.values()].map(({ status, found: words }) => [status, words])).toEqual([
      ['ok', '10-flannel.conflist: cbr0 (flannel, portmap)'],
      ['ok', 'flannel: a veth for each pod'],
      ['ok', 'backend vxlan, pods 10.244.1.1/24 of 10.244.0.0/16'],
      ['ok', '1450'],
    ]);
    node.run('ip', ['link', 'set', 'flannel.1', 'mtu', '1400']);
    expect(await node.findOne('mtu')).toMatchObject({
      status: 'warning',
      found: 'flannel.1 has 1400, 1450 is configured',
    });
    node.file('/etc/kube-flannel/net-conf.json', '{"Network":"10.244.0.0/16","Backend":{"Type":"host-gw"}}');
    expect(await node.findOne('flannel')).toMatchObject({
      status: 'ok',
      found: expect.stringMatching(/^backend host-gw, /),
    });
    node.file('/etc/kube-flannel/net-conf.json', '{"Network":"10.244.0.0/16","Backend":{"Type":"ipsec"}}');
    expect(await node.findOne('flannel')).toMatchObject({
      status: 'warning',
      found: expect.stringMatching(/^backend ipsec, /),
      todo: expect.stringContaining('--dataplane ipset'),
    });
  });

  it('whose flanneld has not run yet, or that has no CNI at all', async () => {
    using node = new ExaminedNode();
    expect(await node.findOne('cni-config')).toMatchObject({ status: 'warning', found: 'none in /etc/cni/net.d' });
    expect(await node.findOne('flannel')).toMatchObject({ status: 'ok', found: 'not in use' });
    node.file(CONFLIST, FLANNEL);
    expect(await node.findOne('flannel')).toMatchObject({
      status: 'warning',
      found: '/run/flannel/subnet.env is missing',
    });
  });

  it('whose CNI gives pods no veth: a failure; one that is not known: a warning; no JSON: cannot be known', async () => {
    using node = new ExaminedNode();
    node.file('/etc/cni/net.d/05-macvlan.conf', '{"name":"lan","type":"macvlan"}').file(CONFLIST, FLANNEL);
    expect((await node.findOne('cni-veth')).status).toBe('failure');
    expect(await node.findOne('cni-config')).toMatchObject({
      status: 'warning',
      means: 'not used: 10-flannel.conflist',
    });
    node.file('/etc/cni/net.d/01-own.conf', '{"name":"own","type":"own"}');
    expect((await node.findOne('cni-veth')).status).toBe('warning');
    node.file('/etc/cni/net.d/00-half.conf', '{"name":"ha');
    expect(await node.findOne('cni-veth')).toMatchObject({
      status: 'unknown',
      found: expect.stringContaining('00-half.conf'),
    });
  });

  it('with kube-proxy in each mode, and with traces of two', async () => {
    using node = new ExaminedNode(['kube-ipvs0']);
    expect(await node.findOne('kube-proxy')).toMatchObject({ status: 'warning', found: 'ipvs mode' });
    node.run('ip', ['link', 'del', 'kube-ipvs0']);
    expect(await node.findOne('kube-proxy')).toMatchObject({ status: 'ok', found: 'no rules of it' });
    node.run('iptables-nft-restore', ['--noflush'], '*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n');
    expect(await node.findOne('kube-proxy')).toMatchObject({ status: 'ok', found: 'iptables mode' });
    node.run('nft', ['add', 'table', 'ip', 'kube-proxy']);
    expect(await node.findOne('kube-proxy')).toMatchObject({
      status: 'warning',
      found: 'traces of iptables and nftables',
    });
  });

  it('with rules of both variants of iptables', async () => {
    using node = new ExaminedNode();
    const rules = '*filter\n:OTHERS - [0:0]\n-A OTHERS -j RETURN\nCOMMIT\n';
    node.run('iptables-nft-restore', ['--noflush'], rules);
    expect((await node.findOne('iptables-variant')).status).toBe('ok');
    node.run('iptables-legacy-restore', ['--noflush'], rules);
    expect(await node.findOne('iptables-variant')).toMatchObject({
      status: 'warning',
      found: expect.stringMatching(/^both are in use; /),
    });
  });

  it('where bridged packets do not come to iptables: a warning with BPF, a failure without', async () => {
    using node = new ExaminedNode();
    node.run('sh', ['-c', 'echo 0 > /proc/sys/net/bridge/bridge-nf-call-ip6tables']);
    expect(await node.findOne('bridge-netfilter')).toMatchObject({
      status: 'warning',
      found: 'off or missing: net.bridge.bridge-nf-call-ip6tables',
    });
    const before = ['setpriv', '--bounding-set=-perfmon'];
    expect((await node.findOne('bridge-netfilter', { before })).status).toBe('warning');
  });

  it('with NodeLocal DNS', async () => {
    using node = new ExaminedNode(['nodelocaldns']);
    expect((await node.findOne('nodelocal-dns')).found).toBe('in use');
    node.run('ip', ['address', 'add', '169.254.20.10/32', 'dev', 'nodelocaldns']);
    expect(await node.findOne('nodelocal-dns')).toMatchObject({ status: 'ok', found: 'in use on 169.254.20.10' });
  });

  it('whose table of connections is nearly full', async () => {
    using node = new ExaminedNode();
    const of = (name: string, value: number) => node.file(`/proc/sys/net/netfilter/nf_conntrack_${name}`, `${value}\n`);
    expect((await node.findOne('conntrack-size')).found).toBe('conntrack is not loaded');
    of('max', 1000);
    of('count', 799);
    expect(await node.findOne('conntrack-size')).toMatchObject({ status: 'warning', found: '799 of 1000 (80 %)' });
    of('count', 12);
    expect(await node.findOne('conntrack-size')).toMatchObject({ status: 'ok', found: '12 of 1000 (1 %)' });
  });

  it('with too few descriptors', async () => {
    using node = new ExaminedNode();
    const before = ['prlimit', '--nofile=256:256'];
    expect(await node.findOne('limits', { root: '/', before })).toMatchObject({
      status: 'warning',
      found: '256 descriptors',
    });
  });

  it('without a bpffs', async () => {
    using node = new ExaminedNode();
    expect(await node.findOne('bpffs')).toMatchObject({ status: 'warning', todo: 'mount -t bpf bpf /sys/fs/bpf' });
    const before = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /sys/fs/bpf && exec "$@"', 'sh'];
    const found = await node.find(['bpffs', 'bpf', 'dataplane'], { root: '/', before });
    expect([...found.values()].map(({ id, status }) => [id, status])).toEqual([
      ['bpf', 'ok'],
      ['bpffs', 'warning'],
      ['dataplane', 'ok'],
    ]);
    const readOnly = ['unshare', '--mount', 'sh', '-c', 'mount -t bpf -o ro bpf /sys/fs/bpf && exec "$@"', 'sh'];
    expect(await node.findOne('bpffs', { root: '/', before: readOnly })).toMatchObject({ status: 'failure' });
  });

  it('whose clock cannot be right', () => {
    using node = new ExaminedNode();
    const facts = new NodeFacts({ root: node.root, socket: SOCKET, pinDir: '' });
    expect(clock(facts, new Date(0)).status).toBe('failure');
    node.file('/run/systemd/timesync/synchronized', '');
    expect(clock(facts, new Date()).found).toContain('kept by systemd-timesyncd');
  });

  it('whose agent is ready, is not, is of another version, does not answer', async () => {
    using node = new ExaminedNode();
    mkdirSync(join(node.root, '/run/selvedge'), { recursive: true });
    const status = {
      version: packageJson.version,
      ready: true,
      faults: [] as string[],
      dataplane: { kind: 'bpf' },
      interfaces: { enforced: 3 },
    };
    const path = join(node.root, SOCKET);
    const listening = createServer((_, response) => void response.end(JSON.stringify(status)));
    server = listening;
    const umask = process.umask(0o177);
    await new Promise<void>((resolve) => listening.listen(path, resolve));
    process.umask(umask);
    const ask = async () =>
      (
        await examine(
          { root: node.root, socket: SOCKET, pinDir: '' },
          CHECKS.filter(({ id }) => id === 'agent'),
        )
      )[0];
    expect(await ask()).toMatchObject({
      status: 'ok',
      found: `version ${packageJson.version} on bpf, 3 interfaces enforced`,
    });
    status.version = '9.9.9';
    expect(await ask()).toMatchObject({ status: 'warning' });
    Object.assign(status, { ready: false, faults: ['not synced yet'] });
    expect(await ask()).toMatchObject({ status: 'failure', found: 'not ready: not synced yet' });
    node.file('/run/other.sock', '');
    const [none] = await examine(
      { root: node.root, socket: '/run/other.sock', pinDir: '' },
      CHECKS.filter(({ id }) => id === 'agent'),
    );
    expect(none).toMatchObject({ status: 'failure', found: expect.stringContaining('does not answer') });
  });

  it('whose list names the plugin: a failure without its binary, a warning without an agent', async () => {
    using node = new ExaminedNode();
    node.file(CONFLIST, FLANNEL);
    expect(await node.findOne('first-packet')).toMatchObject({ status: 'ok', found: 'selvedge-cni is not in use' });
    const settings = { socket: SOCKET, timeout: 3, onAgentDown: 'closed' } as const;
    node.file(CONFLIST, withPlugin(FLANNEL, settings) as string);
    expect((await node.findOne('first-packet')).status).toBe('failure');
    node.file('/opt/cni/bin/selvedge-cni', '');
    expect((await node.findOne('first-packet')).status).toBe('warning');
    node.file(SOCKET, '');
    expect(await node.findOne('first-packet')).toMatchObject({
      status: 'ok',
      found: 'selvedge-cni is in 10-flannel.conflist, a pod waits up to 3 s for its policies',
    });
  });

  it('whose agent is a real one', async () => {
    await using fed = await FedNode.start();
    using node = new ExaminedNode();
    const path = join(node.root, 'agent.sock');
    const agent = fed.agent({ args: ['--socket', path, '--health-address', ''] });
    await agent.ready();
    const ask = async () =>
      (
        await examine(
          { root: node.root, socket: 'agent.sock', pinDir: '' },
          CHECKS.filter(({ id }) => id === 'agent'),
        )
      )[0];
    await expect
      .poll(ask)
      .toMatchObject({ status: 'ok', found: `version ${packageJson.version} on bpf, 0 interfaces enforced` });
    await agent.end('SIGKILL');
    expect(await ask()).toMatchObject({ status: 'failure', found: expect.stringContaining('does not answer') });
  });
});
