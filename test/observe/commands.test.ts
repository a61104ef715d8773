/** `selvedge explain` and `selvedge matrix` as a user runs them: output, exit codes, warnings. */
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { policy } from '../support/cases/case.ts';
import { cast } from '../support/cases/cast.ts';
import { folderWith, manifestText, selvedge } from './command.ts';

const deny = policy('shop/deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] });

function manifests(...more: unknown[]): string {
  return folderWith({ 'cluster.yaml': manifestText([...cast, ...more]) });
}

describe('explain', () => {
  test('gives the verdict first and exits with 0, allowed or denied', async () => {
    const ask = ['explain', '--from', 'shop/web', '--to', 'audit/web', '--port', '80/tcp', '--manifests'];
    const [open, closed] = await Promise.all([selvedge([...ask, manifests()]), selvedge([...ask, manifests(deny)])]);
    expect(open).toMatchObject({ code: 0, stderr: '' });
    expect(open.stdout).toMatch(/^allowed: shop\/web/);
    expect(closed).toMatchObject({ code: 0, stderr: '' });
    expect(closed.stdout).toMatch(/^denied: shop\/web/);
  });

  test('offers YAML that can be applied as it is', async () => {
    const ask = ['explain', '--from', 'shop/web', '--to', 'shop/db', '--port', '5432'];
    const { stdout } = await selvedge([...ask, '--manifests', manifests(deny)]);
    const addition = stdout.slice(stdout.indexOf('---\n'));
    expect(parseAllDocuments(addition).map((document) => document.toJS().kind)).toEqual([
      'NetworkPolicy',
      'NetworkPolicy',
    ]);
    const mended = folderWith({ 'a.yaml': manifestText([...cast, deny]), 'b.yaml': addition });
    expect((await selvedge([...ask, '--manifests', mended])).stdout).toMatch(/^allowed: /);
  });

  test('answers lines from standard input in their order, with reasons and the asker’s own fields', async () => {
    const lines = [
      { id: 7, from: 'shop/web', to: 'shop/db', port: 5432, protocol: 'TCP', family: 'IPv6' },
      { from: '10.244.0.11', to: 'audit/web', port: 80 },
      { from: 'audit/scan', to: '203.0.113.9', port: 53, protocol: 'UDP' },
    ];
    const input = lines.map((line) => JSON.stringify(line)).join('\n');
    const { code, stdout } = await selvedge(['explain', '--manifests', manifests(deny), '--queries', '-'], input);
    const answers = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(answers).toMatchObject([
      { ...lines[0], verdict: 'deny', egress: { reason: 'no rule', isolatedBy: [{ policy: 'shop/deny' }] } },
      { ...lines[1], verdict: 'deny', ingress: { reason: 'not isolated' } },
      { ...lines[2], verdict: 'allow' },
    ]);
  });

  test('a query that cannot be answered has an error in its place, and the exit code is 1', async () => {
    const input = '{"from":"shop/nobody","to":"shop/db","port":1}\n{"from":"shop/web","to":"shop/db","port":1}\n';
    const { code, stdout, stderr } = await selvedge(['explain', '--manifests', manifests(), '--queries', '-'], input);
    const [first, second] = stdout.split('\n');
    expect(JSON.parse(first as string)).toMatchObject({ error: 'there is no pod shop/nobody' });
    expect(JSON.parse(second as string)).toMatchObject({ verdict: 'allow' });
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'selvedge: there is no pod shop/nobody\n' });
  });

  test.each([
    [['--from', 'shop/web', '--to', 'shop/db'], 'all needed'],
    [['--from', 'shop/web', '--to', 'shop/db', '--port', 'http'], '"http" is not a port'],
    [['--from', 'web', '--to', 'shop/db', '--port', '80'], '"web" is neither'],
    [['--from', 'shop/nobody', '--to', 'shop/db', '--port', '80'], 'there is no pod shop/nobody'],
    [['--queries', '-'], 'line 2: not JSON'],
    [['--queries', '-', '--from', 'shop/web'], 'cannot be used with'],
    [['--from', 'shop/web', '--to', 'shop/db', '--protocol', 'udp'], 'all needed'],
    [['--from', 'shop/web', '--to', 'shop/db', '--port', '8', '--protocol', 'ICMP'], 'ICMP has no ports'],
    [['--from', 'shop/web', '--to', 'shop/db', '--port', '53/udp', '--protocol', 'tcp'], 'is not a port of'],
    [['--from', 'shop/web', '--to', 'shop/db', '--protocol', 'ipv6'], 'TCP, UDP, SCTP or ICMP'],
    [['-o', 'xml'], 'xml'],
  ])('%j is asked wrongly: exit code 2', async (args, message) => {
    const outcome = await selvedge(['explain', '--manifests', manifests(), ...args], '\nnonsense\n');
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(outcome.stderr).toContain(message);
  });

  test('does not say what the agent’s own option is', async () => {
    const asked = ['explain', '--judge-own-node', '--from', 'shop/web', '--to', 'shop/db', '--port', '80'];
    const { code, stderr } = await selvedge(asked);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining('--judge-own-node goes with --manifests'),
    });
  });

  test('warns of what is invalid on stderr, and answers', async () => {
    const faulty = policy('shop/faulty', {
      podSelector: {},
      ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/33' } }] }],
    });
    const ask = ['explain', '--from', 'shop/web', '--to', 'shop/db', '--port', '80', '-o', 'json'];
    const { code, stdout, stderr } = await selvedge([...ask, '--manifests', manifests(faulty)]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^warning: cluster\.yaml:\d+: NetworkPolicy shop\/faulty spec\.ingress\[0\]/);
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'deny', additions: [{ kind: 'NetworkPolicy' }] });
  });

  test('says whether one may ping another, and what admits that: a rule without ports', async () => {
    const ask = ['explain', '--from', 'shop/web', '--to', 'shop/db', '--protocol', 'icmp'];
    const { code, stdout } = await selvedge([...ask, '--manifests', manifests(deny)]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^denied: shop\/web \(.*\) to shop\/db \(.*\) by ICMP$/m);
    const [, ...texts] = stdout.split('\n---\n');
    const additions = texts.map((text) => parse(text));
    expect(JSON.stringify(additions)).not.toContain('port');
    const admitted = await selvedge([...ask, '--manifests', manifests(deny, ...additions)]);
    expect(admitted.stdout).toMatch(/^allowed: /);
    const line = '{"from":"shop/web","to":"shop/db","protocol":"ICMP"}';
    const queries = await selvedge(['explain', '--queries', '-', '--manifests', manifests(deny)], line);
    expect(JSON.parse(queries.stdout)).toMatchObject({ ...JSON.parse(line), verdict: 'deny' });
  });

  test('says one line of a pod that is not there, of too few options also where help is', async () => {
    const ask = (...args: string[]) => selvedge(['explain', '--manifests', manifests(), ...args]);
    const nobody = await ask('--from', 'shop/nobody', '--to', 'shop/db', '--port', '80');
    expect(nobody.stderr).toBe('selvedge: there is no pod shop/nobody\n');
    const few = await ask('--from', 'shop/web');
    expect(few.stderr).toMatch(/^selvedge: .* all needed, .*\n\(selvedge --help, .*\)\n$/);
  });

  test('says nothing about a cluster of which a part cannot be read', async () => {
    const folder = folderWith({ 'good.yaml': manifestText(cast), 'bad.yaml': 'a: [' });
    const ask = ['explain', '--from', 'shop/web', '--to', 'shop/db', '--port', '80', '--manifests', folder];
    const outcome = await selvedge(ask);
    expect(outcome).toMatchObject({ code: 1, stdout: '' });
    expect(outcome.stderr).toContain('bad.yaml');
  });
});

describe('manifests', () => {
  const ask = ['--from', 'shop/web', '--to', 'shop/db', '--port', '80'];
  const good = () => manifests();
  test.each([
    ['explain', () => [...ask, '--manifests', good(), '/nope'], '--manifests /nope'],
    ['matrix', () => ['--manifests', '/nope'], '--manifests /nope'],
    ['matrix', () => ['--manifests', good(), '--against', '/nope'], '--against /nope'],
  ])('%s ends with code 2 for a path that does not exist', async (command, args, path) => {
    const stderr = `selvedge: ${path}: there is no such file or folder\n`;
    expect(await selvedge([command, ...args()])).toEqual({ code: 2, stdout: '', stderr });
  });

  test.each(['matrix', 'explain'])('%s fails when there is no object in them', async (command) => {
    const folder = folderWith({ 'words.yaml': 'only words' });
    const outcome = await selvedge([command, ...(command === 'explain' ? ask : []), '--manifests', folder]);
    const warning =
      'warning: words.yaml:1: object without a name: must be an object, not "only words"; the object is left out';
    const stderr = `${warning}\nselvedge: there is no object in ${folder} that a verdict could depend on\n`;
    expect(outcome).toEqual({ code: 1, stdout: '', stderr });
  });
});

describe('matrix', () => {
  test('is a table, JSON in the form of answers, or CSV', async () => {
    const folder = manifests(deny);
    const [table, json, csv] = await Promise.all(
      ['table', 'json', 'csv'].map((output) => selvedge(['matrix', '--manifests', folder, '-o', output])),
    );
    expect(table).toMatchObject({ code: 0, stderr: '' });
    expect(table?.stdout).toContain('  audit/scan  ✓ ✗ ✗ ✗\n');
    const first = { from: 'audit/scan', to: 'audit/web', port: 80, protocol: 'TCP', family: 'IPv4', verdict: 'allow' };
    expect(parse(json?.stdout ?? '')[0]).toEqual(first);
    expect(csv?.stdout).toMatch(/^from,to,port,protocol,family,verdict\naudit\/scan,audit\/web,80,TCP,IPv4,allow\n/);
  });

  test('against another folder it prints what would change, denials first, and exits with 0', async () => {
    const open = policy('audit/web', { podSelector: { matchLabels: { app: 'web' } } });
    const closed = policy('shop/db', { podSelector: { matchLabels: { app: 'db' } } });
    const against = ['matrix', '--manifests', manifests(open), '--against', manifests(closed)];
    const [text, json] = await Promise.all([selvedge(against), selvedge([...against, '-o', 'json'])]);
    expect(text).toMatchObject({ code: 0, stderr: '' });
    expect(text.stdout.split('\n').slice(0, 2)).toEqual([
      'would be denied, allowed now: 5',
      '  audit/scan → shop/db 5432/tcp (ingress: isolated by shop/db)',
    ]);
    expect(text.stdout).toContain('  audit/scan → audit/web 80/tcp (ingress: not isolated)\n');
    expect(JSON.parse(json.stdout)[0]).toEqual({
      from: 'audit/scan',
      to: 'shop/db',
      port: 5432,
      protocol: 'TCP',
      family: 'IPv4',
      before: 'allow',
      after: 'deny',
    });
  });

  test('against itself nothing would change', async () => {
    const folder = manifests(deny);
    const { stdout } = await selvedge(['matrix', '--manifests', folder, '--against', folder]);
    expect(stdout).toMatch(/^nothing would change: all \d+ verdicts stay as they are\n$/);
  });
});
