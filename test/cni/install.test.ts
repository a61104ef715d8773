/** The plugin's place on a node: what is written, that it stays, and that taking it off leaves what was there. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import { type PluginSettings, withoutPlugin, withPlugin } from '../../src/cni/conf-list.ts';
import { BUILT_PLUGIN, install, uninstall } from '../../src/cni/install.ts';
import { keepInstalled } from '../../src/cni/keep-installed.ts';
import { selvedge } from '../observe/command.ts';
import { describeAsRoot } from '../support/privilege.ts';

/** As Flannel's own manifest has it. */
const FLANNEL = `{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "flannel",
      "delegate": {
        "hairpinMode": true,
        "isDefaultGateway": true
      }
    },
    {
      "type": "portmap",
      "capabilities": {
        "portMappings": true
      }
    }
  ]
}
`;
const SETTINGS: PluginSettings = { socket: '/run/selvedge/agent.sock', timeout: 5, onAgentDown: 'closed' };

let confDir: string;
let binDir: string;
let file: string;

const places = () => ['--cni-conf-dir', confDir, '--cni-bin-dir', binDir];

beforeEach(() => {
  const folder = mkdtempSync(join(tmpdir(), 'selvedge-cni-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  [confDir, binDir] = [join(folder, 'net.d'), join(folder, 'bin')];
  mkdirSync(confDir);
  file = join(confDir, '10-flannel.conflist');
  writeFileSync(file, FLANNEL, { mode: 0o640 });
});

const list = () => JSON.parse(readFileSync(file, 'utf8'));
const types = () => list().plugins.map(({ type }: { type: string }) => type);

it('goes behind all others, with every field of theirs kept; uninstalling restores the very text', () => {
  writeFileSync(join(confDir, '99-other.conflist'), '{"plugins":[{"type":"loopback"}]}');
  expect(install({ confDir, binDir, settings: SETTINGS })).toEqual([join(binDir, 'selvedge-cni'), file]);
  expect(list()).toEqual({
    ...JSON.parse(FLANNEL),
    plugins: [...JSON.parse(FLANNEL).plugins, { type: 'selvedge-cni', ...SETTINGS }],
  });
  expect(statSync(file).mode & 0o777).toBe(0o640);
  expect(statSync(join(binDir, 'selvedge-cni')).mode & 0o777).toBe(0o755);
  expect(readFileSync(join(binDir, 'selvedge-cni')).equals(readFileSync(BUILT_PLUGIN))).toBe(true);
  expect(install({ confDir, binDir, settings: SETTINGS })).toEqual([]);
  expect(uninstall({ confDir, binDir })).toEqual([file, join(binDir, 'selvedge-cni')]);
  expect(readFileSync(file, 'utf8')).toBe(FLANNEL);
  expect(readdirSync(confDir)).toEqual(['10-flannel.conflist', '99-other.conflist']);
  expect(readdirSync(binDir)).toEqual([]);
  expect(uninstall({ confDir, binDir })).toEqual([]);
});

/** JSON with any white space between its parts, as people and programs write it. */
function printed(value: unknown, space: () => string): string {
  const list = (items: string[], [open, close]: string) =>
    `${open}${space()}${items.join(`${space()},${space()}`)}${space()}${close}`;
  if (Array.isArray(value))
    return list(
      value.map((one) => printed(one, space)),
      '[]',
    );
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(
    ([key, one]) => `${JSON.stringify(key)}${space()}:${space()}${printed(one, space)}`,
  );
  return list(fields, '{}');
}

function without<T>(all: Record<string, T>, key: string): Record<string, T> {
  return Object.fromEntries(Object.entries(all).filter(([name]) => name !== key));
}

it('whatever the list holds, taking the plugin out gives it back to the byte, and adding twice is adding once', () => {
  const plugin = fc.dictionary(fc.string(), fc.jsonValue()).map((more) => ({ ...more, type: 'other' }));
  const lists = fc.record({
    more: fc.dictionary(fc.string(), fc.jsonValue()).map((more) => ({ ...more, cniVersion: '1.0.0' })),
    plugins: fc.array(plugin, { minLength: 1 }),
  });
  const spaces = fc.infiniteStream(fc.constantFrom('', '', ' ', '\n', '\n\t', '\r\n  '));
  fc.assert(
    fc.property(lists, spaces, fc.boolean(), ({ more, plugins }, space, last) => {
      const next = () => space.next().value as string;
      const text =
        next() + printed(last ? { ...more, plugins } : { plugins, ...without(more, 'plugins') }, next) + next();
      const added = withPlugin(text, SETTINGS) as string;
      expect(JSON.parse(added).plugins).toEqual([...JSON.parse(text).plugins, { type: 'selvedge-cni', ...SETTINGS }]);
      expect(withPlugin(added, SETTINGS)).toBeUndefined();
      expect(withoutPlugin(added)).toBe(text);
      const other = withPlugin(added, { ...SETTINGS, timeout: 9 }) as string;
      expect(JSON.parse(other).plugins.at(-1)).toMatchObject({ type: 'selvedge-cni', timeout: 9 });
      expect(withoutPlugin(other)).toBe(text);
    }),
  );
});

it('what others have put behind it, or before, goes before it again', () => {
  const types = (text: string | undefined) => JSON.parse(text ?? '').plugins.map(({ type }: { type: string }) => type);
  const ours = '{"type":"selvedge-cni"}';
  const lists = [
    `{"cniVersion":"0.4.0","plugins":[${ours},{"type":"a"},{"type":"b"}]}`,
    `{"cniVersion":"0.4.0","plugins":[ {"type":"a"}, ${ours} ,{"type":"b"}, ${ours}]}`,
  ];
  for (const text of lists) {
    expect(types(withPlugin(text, SETTINGS))).toEqual(['a', 'b', 'selvedge-cni']);
    expect(types(withoutPlugin(text))).toEqual(['a', 'b']);
  }
  expect(() => withPlugin(`{"plugins":[${ours}]}`, { ...SETTINGS, timeout: 1 })).toThrow('no plugins but ours');
});

it('a folder without a list, a single configuration and a list that is none are refused, and nothing is changed', () => {
  const refused = (name: string, text: string, words: RegExp) => {
    renameSync(file, join(confDir, 'kept'));
    if (name !== '') writeFileSync(join(confDir, name), text);
    expect(() => install({ confDir, binDir, settings: SETTINGS })).toThrow(words);
    expect(readdirSync(confDir).sort()).toEqual(['kept', ...(name === '' ? [] : [name])].sort());
    if (name !== '') rmSync(join(confDir, name));
    renameSync(join(confDir, 'kept'), file);
  };
  refused('', '', /there is no configuration in .*install the CNI first/);
  const single = '{"cniVersion":"1.0.0","name":"mine","type":"bridge","ipam":{}}';
  const list = '{"cniVersion":"1.0.0","name":"mine","plugins":[{"type":"bridge","ipam":{}}]}';
  const advice = `is a single configuration, to which nothing can be added: put ${list} into 05-bridge.conflist and remove`;
  refused('05-bridge.conf', single, new RegExp(advice.replaceAll(/[[{]/g, '\\$&')));
  refused('05-half.conflist', '{"plugins":[', /05-half.conflist: no JSON/);
  refused('05-none.conflist', '{"plugins":[]}', /it has no list of plugins/);
});

it('is put back when others write the list anew, and waits for a list that is not there yet', async () => {
  rmSync(file);
  const said: string[] = [];
  let tell = () => {};
  const told = () =>
    new Promise<void>((resolve) => {
      tell = resolve;
    });
  const say = (line: string) => {
    said.push(line);
    tell();
  };
  using _kept = keepInstalled({
    confDir,
    binDir,
    settings: SETTINGS,
    onWritten: (files) => say(`written ${files.map((path) => path.split('/').at(-1)).join(' ')}`),
    onFailure: (error) => say((error as Error).message.replace(confDir, 'DIR')),
  });
  expect(said).toEqual(['there is no configuration in DIR: install the CNI first']);
  let next = told();
  writeFileSync(file, FLANNEL);
  await next;
  expect(types()).toEqual(['flannel', 'portmap', 'selvedge-cni']);
  // As an init container does, by cp or by renaming.
  next = told();
  writeFileSync(`${file}.new`, FLANNEL.replace('cbr0', 'cbr1'));
  renameSync(`${file}.new`, file);
  await next;
  expect([list().name, types().at(-1)]).toEqual(['cbr1', 'selvedge-cni']);
  expect(said.slice(-2)).toEqual(['written selvedge-cni 10-flannel.conflist', 'written 10-flannel.conflist'].slice(-2));
});

it('by command: installed, installed already, taken off; exit codes', async () => {
  const done = await selvedge([
    'cni',
    'install',
    ...places(),
    '--cni-timeout',
    '2',
    '--cni-on-agent-down',
    'open',
    '--socket',
    '/run/a.sock',
  ]);
  expect([done.code, done.stdout]).toEqual([0, `${join(binDir, 'selvedge-cni')}\n${file}\n`]);
  expect(list().plugins.at(-1)).toEqual({
    type: 'selvedge-cni',
    socket: '/run/a.sock',
    timeout: 2,
    onAgentDown: 'open',
  });
  expect((await selvedge(['cni', 'uninstall', ...places()])).stdout).toContain(file);
  expect((await selvedge(['cni', 'uninstall', ...places()])).stdout).toBe('the plugin is not installed\n');
  rmSync(file);
  const none = await selvedge(['cni', 'install', ...places(), '--socket', '/run/a.sock']);
  expect([none.code, none.stderr]).toEqual([1, expect.stringContaining('install the CNI first')]);
  expect((await selvedge(['cni', 'install', ...places(), '--cni-timeout', 'long'])).code).toBe(2);
});

it('installers at once, while the list is written anew, end with one plugin in a whole list, and leave nothing else', async () => {
  const args = ['cni', 'install', ...places(), '--socket', SETTINGS.socket];
  const installers = Array.from({ length: 4 }, () => selvedge(args));
  for (let i = 0; i < 50; i++) {
    await setImmediate();
    writeFileSync(`${file}.new`, FLANNEL.replace('cbr0', `cbr${i}`));
    renameSync(`${file}.new`, file);
    expect(() => list()).not.toThrow();
  }
  for (const { code, stderr } of await Promise.all(installers)) expect([code, stderr]).toEqual([0, '']);
  install({ confDir, binDir, settings: SETTINGS });
  expect([list().name, types()]).toEqual(['cbr49', ['flannel', 'portmap', 'selvedge-cni']]);
  expect([readdirSync(confDir), readdirSync(binDir)]).toEqual([['10-flannel.conflist'], ['selvedge-cni']]);
});

it('what an installer that was killed has left goes with the next, but not what another one makes just now', () => {
  const left = join(confDir, '.selvedge-cni.0a.tmp');
  writeFileSync(left, '{');
  install({ confDir, binDir, settings: SETTINGS });
  expect(readdirSync(confDir)).toContain('.selvedge-cni.0a.tmp');
  utimesSync(left, 0, 0);
  writeFileSync(file, FLANNEL);
  install({ confDir, binDir, settings: SETTINGS });
  expect(readdirSync(confDir)).toEqual(['10-flannel.conflist']);
  writeFileSync(left, '{');
  uninstall({ confDir, binDir });
  expect(readdirSync(confDir)).toEqual(['10-flannel.conflist']);
});

it.each(['', 'run/agent.sock'])('a socket that no plugin could find is refused: %j', async (socket) => {
  for (const command of [
    ['cni', 'install'],
    ['agent', '--dry-run'],
  ]) {
    const { code, stderr } = await selvedge([...command, '--socket', socket, ...places()]);
    expect([code, stderr]).toEqual([
      2,
      `selvedge: --socket '${socket}': the plugin needs an absolute path to ask at\n`,
    ]);
  }
  expect(readFileSync(file, 'utf8')).toBe(FLANNEL);
});

describeAsRoot('on file systems that refuse', () => {
  /** Of that size, where the folder was; what it holds is copied. */
  function mounted(folder: string, options: string): Disposable {
    mkdirSync(folder, { recursive: true });
    const content = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))] as const);
    runSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', folder]);
    for (const [name, bytes] of content) writeFileSync(join(folder, name), bytes);
    if (options !== '') runSync('mount', ['-o', `remount,${options}`, folder]);
    return { [Symbol.dispose]: () => void runSync('umount', [folder]) };
  }

  it('no room for the binary: the list names none, and nothing half is left', () => {
    using _ = mounted(binDir, '');
    expect(() => install({ confDir, binDir, settings: SETTINGS })).toThrow(/ENOSPC/);
    expect([readdirSync(binDir), readFileSync(file, 'utf8')]).toEqual([[], FLANNEL]);
  });

  it('no room for the list: it stays what it was', () => {
    using _ = mounted(confDir, '');
    writeFileSync(join(confDir, 'filler'), '');
    expect(() => writeFileSync(join(confDir, 'filler'), Buffer.alloc(1 << 20))).toThrow(/ENOSPC/);
    expect(() => install({ confDir, binDir, settings: SETTINGS })).toThrow(/ENOSPC/);
    expect(readFileSync(file, 'utf8')).toBe(FLANNEL);
    expect(readdirSync(confDir)).toEqual(['10-flannel.conflist', 'filler']);
  });

  it('a folder that is read-only is an error that names it, for installing and for taking off; what is installed already is none', () => {
    {
      using _ = mounted(confDir, 'ro');
      expect(() => install({ confDir, binDir, settings: SETTINGS })).toThrow(/EROFS.*net\.d/);
    }
    install({ confDir, binDir, settings: SETTINGS });
    using _ = mounted(confDir, 'ro');
    expect(install({ confDir, binDir, settings: SETTINGS })).toEqual([]);
    expect(() => uninstall({ confDir, binDir })).toThrow(/EROFS.*net\.d/);
    // The list still names it.
    expect(readdirSync(binDir)).toEqual(['selvedge-cni']);
  });
});
