/** The plugin's place on a node: what is written, that it stays, and that taking it off leaves what was there. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { type PluginSettings, withoutPlugin, withPlugin } from '../../src/cni/conf-list.ts';
import { BUILT_PLUGIN, install, uninstall } from '../../src/cni/install.ts';
import { keepInstalled } from '../../src/cni/keep-installed.ts';
import { selvedge } from '../observe/command.ts';

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

it('whatever the list holds, adding and removing gives it back, and adding twice is adding once', () => {
  const plugin = fc.dictionary(fc.string(), fc.jsonValue()).map((more) => ({ ...more, type: 'other' }));
  const lists = fc.record({
    more: fc.dictionary(fc.string(), fc.jsonValue()),
    plugins: fc.array(plugin, { minLength: 1 }),
  });
  fc.assert(
    fc.property(lists, fc.constantFrom(undefined, '  ', '\t'), ({ more, plugins }, indent) => {
      const text = `${JSON.stringify({ ...more, plugins }, undefined, indent)}\n`;
      const added = withPlugin(text, SETTINGS) as string;
      expect(withPlugin(added, SETTINGS)).toBeUndefined();
      expect(JSON.parse(withoutPlugin(added) as string)).toEqual(JSON.parse(text));
      expect(withPlugin(added, { ...SETTINGS, timeout: 9 })).toContain('"timeout"');
    }),
  );
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
  refused('05-bridge.conf', '{"type":"bridge"}', /is a single configuration, to which nothing can be added/);
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
  const places = ['--cni-conf-dir', confDir, '--cni-bin-dir', binDir];
  const done = await selvedge([
    'cni',
    'install',
    ...places,
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
  expect((await selvedge(['cni', 'uninstall', ...places])).stdout).toContain(file);
  expect((await selvedge(['cni', 'uninstall', ...places])).stdout).toBe('the plugin is not installed\n');
  rmSync(file);
  const none = await selvedge(['cni', 'install', ...places]);
  expect([none.code, none.stderr]).toEqual([1, expect.stringContaining('install the CNI first')]);
  expect((await selvedge(['cni', 'install', ...places, '--cni-timeout', 'long'])).code).toBe(2);
});
