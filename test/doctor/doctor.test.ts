/** `selvedge doctor` as a whole: its exit codes and formats, what it needs, that it leaves no trace, and its documentation. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { Result } from '../../src/doctor/check.ts';
import { CHECKS } from '../../src/doctor/checks.ts';
import { formatResults } from '../../src/doctor/format-results.ts';
import { selvedge } from '../observe/command.ts';
import { readText } from '../project/source-files.ts';
import { eventually } from '../support/eventually.ts';
import { describeAsRoot, hiddenFromOthers } from '../support/privilege.ts';
import { ExaminedNode } from './support/examined-node.ts';

const FLANNEL = JSON.stringify({
  name: 'cbr0',
  cniVersion: '0.3.1',
  plugins: [{ type: 'flannel', delegate: { hairpinMode: true, isDefaultGateway: true } }, { type: 'portmap' }],
});
const SUBNET_ENV =
  'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n';
const BPF = { x64: 321, arm64: 280 }[process.arch as string];
const WITHOUT = fileURLToPath(new URL('../dataplane/fixtures/without-syscall.pl', import.meta.url));

it('wrong use is exit code 2', async () => {
  expect((await selvedge(['doctor', '-o', 'csv'])).code).toBe(2);
  expect((await selvedge(['doctor', '--no-such'])).code).toBe(2);
});

it('the documentation has every check, with its group and what it looks at', () => {
  const section = /^## Doctor$([\s\S]*?)(?=^## )/m.exec(`${readText('docs/operations.md')}\n## `)?.[1] ?? '';
  const rows = [...section.matchAll(/^\| `([\w-]+)` \| (.*) \| (.*) \|$/gm)].map(([, id, group, looksAt]) => ({
    id,
    group,
    looksAt,
  }));
  expect(rows).toEqual(CHECKS.map(({ id, group, looksAt }) => ({ id, group, looksAt })));
});

it('colour is only for those who can see it', () => {
  const failure: Result = { id: 'cni-veth', group: 'cni', status: 'failure', found: 'macvlan', todo: 'use another' };
  expect(formatResults([failure], { colour: true })).toContain('\u001b[31mFAILURE');
  expect(formatResults([failure], { colour: false })).not.toContain('\u001b');
});

describeAsRoot('doctor', () => {
  it('prints the example of the documentation', async () => {
    using node = new ExaminedNode();
    node.file('/etc/cni/net.d/10-flannel.conflist', FLANNEL).file('/run/flannel/subnet.env', SUBNET_ENV);
    node.addFlannelLink();
    node.run('nft', ['add', 'table', 'inet', 'kube-network-policies']);
    node.run(
      'iptables-nft-restore',
      ['--noflush'],
      '*nat\n:KUBE-SERVICES - [0:0]\n-A KUBE-SERVICES -j RETURN\nCOMMIT\n',
    );
    node
      .file('/proc/sys/net/netfilter/nf_conntrack_max', '262144')
      .file('/proc/sys/net/netfilter/nf_conntrack_count', '5120');
    const shown = CHECKS.filter(({ group }) => group !== 'kernel' && group !== 'agent');
    const found = await node.find(shown.map(({ id }) => id));
    const example = /^```text\n# selvedge doctor\n([\s\S]*?)^```/m.exec(readText('docs/operations.md'))?.[1];
    const printed = `${formatResults([...found.values()], { colour: false })}\n`;
    // The last line would count these alone.
    expect(printed.slice(0, printed.lastIndexOf('\n\n') + 1)).toBe(example);
  });

  it('says as JSON what it says as text, with exit code 0 for warnings', async () => {
    const { code, stdout } = await selvedge(['doctor', '-o', 'json']);
    const { checks }: { checks: Result[] } = JSON.parse(stdout);
    expect(checks.map(({ id }) => id)).toEqual(CHECKS.map(({ id }) => id));
    const failed = checks.some(({ status }) => status === 'failure');
    expect(code).toBe(failed ? 1 : 0);
    for (const { status, todo } of checks) if (status !== 'ok') expect(todo).toBeTypeOf('string');
  });

  it('leaves no trace: links, rules, sets, tables, pins and mounts are as before', async () => {
    using node = new ExaminedNode(['veth0']);
    node.run('iptables-nft-restore', ['--noflush'], '*filter\n:OTHERS - [0:0]\n-A OTHERS -j RETURN\nCOMMIT\n');
    node.run('ipset', ['restore'], 'create others hash:ip\n');
    // Of the whole machine only what no other test makes.
    const listing = [
      'ip -o link; ip -o address; tc qdisc; iptables-save; ip6tables-save; nft list ruleset; ipset list',
      'cat /proc/net/ip_tables_names; mount -t bpf | grep -v /selvedge-; ls -d /sys/fs/bpf/selvedge; ls /run/selvedge; true',
    ];
    const list = () => node.run('sh', ['-c', `(${listing.join('; ')}) 2>&1`]).replace(/^#.*\n/gm, '');
    // What the kernel itself still does with new links: carriers come, and addresses are looked for twice.
    await eventually(() => {
      expect(node.run('ip', ['-o', 'link']).match(/ state UP /g)).toHaveLength(2);
      expect(node.run('ip', ['-o', '-6', 'address', 'show', '-tentative']).match(/ scope link /g)).toHaveLength(2);
    });
    const before = list();
    const found = await node.find([], { root: '/' });
    expect([...found.values()].find(({ id }) => id === 'bpf')?.status).toBe('ok');
    expect(list()).toBe(before);
  });

  it('without BPF it says why, and that ipset it would be', async () => {
    using node = new ExaminedNode();
    const before = ['perl', WITHOUT, `${BPF}`, '1'];
    const found = await node.find(
      ['bpf', 'attach', 'ring-buffer', 'lpm', 'conntrack-lookup', 'dataplane', 'bridge-netfilter'],
      { before },
    );
    expect([...found.values()].map(({ id, status }) => [id, status])).toEqual([
      ['bpf', 'warning'],
      ['attach', 'warning'],
      ['ring-buffer', 'warning'],
      ['lpm', 'warning'],
      ['conntrack-lookup', 'unknown'],
      ['dataplane', 'ok'],
      ['bridge-netfilter', 'ok'],
    ]);
    expect(found.get('dataplane')?.found).toMatch(
      /^ipset: bpf is not possible here: .*none is missing here: something else forbids it/,
    );
    node.run('sh', ['-c', 'echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables']);
    expect((await node.findOne('bridge-netfilter', { before })).status).toBe('failure');
  });

  it('with neither data plane that is a failure', async () => {
    using node = new ExaminedNode();
    const before = [
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount -t tmpfs none /usr/sbin && exec "$@"',
      'sh',
      'perl',
      WITHOUT,
      `${BPF}`,
      '1',
    ];
    expect(await node.findOne('dataplane', { before })).toMatchObject({
      status: 'failure',
      found: expect.stringMatching(/^none: bpf: .*; ipset: /),
    });
  });

  it.skipIf(hiddenFromOthers !== undefined)(
    `without root it says what it cannot know, and blames nothing [${hiddenFromOthers ?? 'run'}]`,
    async () => {
      using node = new ExaminedNode();
      const before = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
      node.file('/run/some.pid', '').run('chmod', ['-R', 'a+rX', node.root]);
      const found = await node.find([], { before });
      const blamed = [...found.values()].filter(({ status }) => status === 'failure' || status === 'warning');
      // Those files are everybody's to read, and it has none of them.
      expect(blamed.map(({ id }) => id)).toEqual(['bpffs', 'cni-config']);
      expect(found.get('bpf')).toMatchObject({ status: 'unknown', todo: 'run it as root' });
      expect(found.get('calico')?.status).toBe('unknown');
    },
  );
});
