/** An installer that is killed at its worst moment: what stands is whole, and the next one clears up. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { type PluginSettings, withPlugin } from '../../src/cni/conf-list.ts';
import { BUILT_PLUGIN, install } from '../../src/cni/install.ts';

const INSTALLER = fileURLToPath(new URL('fixtures/killed-installer.ts', import.meta.url));
const LIST = '{"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"flannel"}]}';
const SETTINGS: PluginSettings = { socket: '/run/selvedge/agent.sock', timeout: 5, onAgentDown: 'closed' };

async function killed(file: string, text: string): Promise<unknown> {
  const child = spawn(process.execPath, [INSTALLER, file, text], { stdio: 'inherit' });
  return (await once(child, 'exit'))[1];
}

it('between writing and renaming: the list and the binary are the old ones, and the next installer finishes both', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'selvedge-cni-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const [confDir, binDir] = [join(folder, 'net.d'), join(folder, 'bin')];
  for (const path of [confDir, binDir]) mkdirSync(path);
  const file = join(confDir, '10-flannel.conflist');
  const binary = join(binDir, 'selvedge-cni');
  writeFileSync(file, LIST);
  writeFileSync(binary, 'the version before');
  expect(await killed(binary, 'half of th')).toBe('SIGKILL');
  expect(await killed(file, withPlugin(LIST, SETTINGS) ?? '')).toBe('SIGKILL');
  expect([readFileSync(file, 'utf8'), readFileSync(binary, 'utf8')]).toEqual([LIST, 'the version before']);
  for (const path of [confDir, binDir]) {
    const left = readdirSync(path).filter((name) => name.endsWith('.tmp'));
    // No ending that a runtime reads, nor a name that it calls.
    expect(left).toEqual([expect.stringMatching(/^\.selvedge-cni\..*\.tmp$/)]);
    for (const name of left) utimesSync(join(path, name), 0, 0);
  }

  install({ confDir, binDir, settings: SETTINGS });
  expect(readFileSync(file, 'utf8')).toBe(withPlugin(LIST, SETTINGS));
  expect(readFileSync(binary).equals(readFileSync(BUILT_PLUGIN))).toBe(true);
  expect([readdirSync(confDir), readdirSync(binDir)]).toEqual([['10-flannel.conflist'], ['selvedge-cni']]);
});
