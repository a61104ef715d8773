/** Configuration lists and folders as nobody should have them: installing names what is wrong and changes nothing; taking off does what it can. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import { ConfListError, type PluginSettings, withoutPlugin, withPlugin } from '../../src/cni/conf-list.ts';
import { install, uninstall } from '../../src/cni/install.ts';

const LIST =
  '{"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"flannel"},{"type":"portmap","capabilities":{"portMappings":true}}]}\n';
const SETTINGS: PluginSettings = { socket: '/run/selvedge/agent.sock', timeout: 5, onAgentDown: 'closed' };

let folder: string;
let confDir: string;
let binDir: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'selvedge-cni-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  [confDir, binDir] = [join(folder, 'net.d'), join(folder, 'bin')];
  mkdirSync(confDir);
  file = join(confDir, '10-flannel.conflist');
});

const put = () => install({ confDir, binDir, settings: SETTINGS });
const typesIn = (path: string) =>
  JSON.parse(readFileSync(path, 'utf8')).plugins.map(({ type }: { type: string }) => type);

it('whatever stands in the file: refused in words, or a list with the plugin behind all that was there', () => {
  const cut = fc.tuple(fc.nat(LIST.length), fc.nat(20), fc.string({ unit: 'binary', maxLength: 8 }));
  const damaged = cut.map(([from, length, instead]) => LIST.slice(0, from) + instead + LIST.slice(from + length));
  const others = [
    '',
    '\0',
    `\ufeff${LIST}`,
    '[]',
    'null',
    '{"plugins":{}}',
    '{"plugins":[null]}',
    '{"plugins":[[]]}',
    LIST + LIST,
  ];
  const nested = `{"cniVersion":"1.0.0","x":${'['.repeat(50_000)}${']'.repeat(50_000)},"plugins":[{"type":"a"}]}`;
  const text = fc.oneof(damaged, fc.string(), fc.json(), fc.constantFrom(...others, nested));
  fc.assert(
    fc.property(text, (text) => {
      let changed: string | undefined;
      try {
        changed = withPlugin(text, SETTINGS);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfListError);
        return;
      }
      const before = JSON.parse(text).plugins;
      expect(JSON.parse(changed ?? '').plugins).toEqual([...before, { type: 'selvedge-cni', ...SETTINGS }]);
      expect(withoutPlugin(changed ?? '')).toBe(text);
    }),
    { numRuns: 2_000 },
  );
});

it('a list of a version that the plugin does not speak is refused: no pod would start', () => {
  const of = (fields: string) => `{${fields}"name":"cbr0","plugins":[{"type":"flannel"}]}`;
  const versions = {
    '': 'no cniVersion',
    '"cniVersion":"0.2.0",': 'cniVersion "0.2.0"',
    '"cniVersion":"1.2.0",': 'cniVersion "1.2.0"',
  };
  for (const [fields, has] of Object.entries({
    ...versions,
    '"cniVersion":7,': 'cniVersion 7',
    '"cniVersions":["0.1.0"],': 'no cniVersion',
  })) {
    writeFileSync(file, of(fields));
    expect(put).toThrow(`${file}: it has ${has}, and the plugin speaks 0.3.1, 0.4.0, 1.0.0, 1.1.0`);
    expect([readFileSync(file, 'utf8'), readdirSync(folder)]).toEqual([of(fields), ['net.d']]);
  }
  for (const fields of ['"cniVersion":"0.3.1",', '"cniVersion":"1.1.0",', '"cniVersions":["0.4.0","1.2.0"],']) {
    writeFileSync(file, of(fields));
    expect(put()).toContain(file);
  }
});

it('bytes that are no text are refused, and stay', () => {
  const bytes = Buffer.concat([
    Buffer.from('{"cniVersion":"1.0.0","name":"'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('","plugins":[{"type":"a"}]}'),
  ]);
  writeFileSync(file, bytes);
  expect(put).toThrow(`${file}: it is no UTF-8`);
  expect(readFileSync(file).equals(bytes)).toBe(true);
});

it('what has the name of a list and is no file is passed over, as runtimes do', () => {
  mkdirSync(join(confDir, '00-old.conflist'));
  runSync('mkfifo', [join(confDir, '01-pipe.conf')]);
  writeFileSync(file, LIST);
  expect(put()).toContain(file);
  expect(typesIn(file)).toEqual(['flannel', 'portmap', 'selvedge-cni']);
  uninstall({ confDir, binDir });
  expect(readFileSync(file, 'utf8')).toBe(LIST);
});

it('a link to a list stays a link, and the list is changed where it is; one that leads nowhere is an error', () => {
  const place = join(folder, 'flannel.json');
  writeFileSync(place, LIST);
  symlinkSync('../flannel.json', file);
  put();
  expect([readlinkSync(file), typesIn(place).at(-1)]).toEqual(['../flannel.json', 'selvedge-cni']);
  uninstall({ confDir, binDir });
  expect([readlinkSync(file), readFileSync(place, 'utf8')]).toEqual(['../flannel.json', LIST]);
  expect(readdirSync(folder).sort()).toEqual(['bin', 'flannel.json', 'net.d']);
  rmSync(place);
  expect(put).toThrow(/ENOENT.*10-flannel\.conflist/);
});

it('taking off goes on behind a list that is broken, names it, and leaves the binary that it may name', () => {
  const broken = join(confDir, '05-broken.conflist');
  const named = '{"plugins":[{"type":"selvedge-cni"}';
  writeFileSync(file, LIST);
  put();
  writeFileSync(broken, named);
  expect(() => uninstall({ confDir, binDir })).toThrow(`${broken}: no JSON`);
  expect([readFileSync(file, 'utf8'), readFileSync(broken, 'utf8'), readdirSync(binDir)]).toEqual([
    LIST,
    named,
    ['selvedge-cni'],
  ]);
  // One that does not name it is nobody's business.
  writeFileSync(broken, '{"plugins":[');
  expect(uninstall({ confDir, binDir })).toEqual([join(binDir, 'selvedge-cni')]);
});
