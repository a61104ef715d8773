/** The plugin on a node: its binary among the CNI's, and its place in the configuration list that the container runtime reads. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfListError, PLUGIN, type PluginSettings, withoutPlugin, withPlugin } from './conf-list.ts';

export interface Places {
  /** /etc/cni/net.d */
  readonly confDir: string;
  /** /opt/cni/bin */
  readonly binDir: string;
}

export interface InstallOptions extends Places {
  readonly settings: PluginSettings;
  /** The binary; the one that was built with this program when absent. */
  readonly binary?: string;
}

/** The one that scripts/build-cni makes. */
export const BUILT_PLUGIN = fileURLToPath(new URL('../../build/cni/selvedge-cni', import.meta.url));

/**
 * The binary first, so that no list names what is not there. Changes only what differs.
 * @returns the files that were written @throws {ConfListError} nothing was changed in the list
 */
export function install({ confDir, binDir, settings, binary = BUILT_PLUGIN }: InstallOptions): string[] {
  const file = firstConf(confDir);
  const text = readFileSync(file, 'utf8');
  const changed = told(file, () => withPlugin(text, settings));
  const target = join(binDir, PLUGIN);
  const written: string[] = [];
  if (!isSame(binary, target)) {
    mkdirSync(binDir, { recursive: true });
    replace(target, (made) => {
      copyFileSync(binary, made);
      chmodSync(made, 0o755);
    });
    written.push(target);
  }
  if (changed !== undefined) {
    rewrite(file, changed);
    written.push(file);
  }
  return written;
}

/** The lists first. @returns the files that were written or removed */
export function uninstall({ confDir, binDir }: Places): string[] {
  const written: string[] = [];
  for (const file of confFiles(confDir)) {
    const text = readFileSync(file, 'utf8');
    if (!text.includes(PLUGIN)) continue;
    const changed = told(file, () => withoutPlugin(text));
    if (changed === undefined) continue;
    rewrite(file, changed);
    written.push(file);
  }
  const target = join(binDir, PLUGIN);
  if (existsSync(target)) {
    rmSync(target);
    written.push(target);
  }
  return written;
}

/** The one that container runtimes take: the first by name. @throws {ConfListError} */
function firstConf(confDir: string): string {
  const [file] = confFiles(confDir);
  if (file === undefined) throw new ConfListError(`there is no configuration in ${confDir}: install the CNI first`);
  if (!file.endsWith('.conflist')) {
    throw new ConfListError(
      `${file} is a single configuration, to which nothing can be added: make it a list (.conflist) with that one under "plugins"`,
    );
  }
  return file;
}

function confFiles(confDir: string): string[] {
  const names = existsSync(confDir) ? readdirSync(confDir).sort() : [];
  return names.filter((name) => /\.(conf|conflist|json)$/.test(name)).map((name) => join(confDir, name));
}

function isSame(binary: string, target: string): boolean {
  if (!existsSync(target) || statSync(target).size !== statSync(binary).size) return false;
  return readFileSync(binary).equals(readFileSync(target));
}

function rewrite(file: string, text: string): void {
  const { mode } = statSync(file);
  replace(file, (made) => writeFileSync(made, text, { mode: mode & 0o777 }));
}

/** Whoever reads meanwhile reads the old one or the new one, whole. Runtimes read no file of that ending. */
function replace(file: string, make: (made: string) => void): void {
  const made = `${file}.${process.pid}.tmp`;
  try {
    make(made);
    renameSync(made, file);
  } catch (error) {
    rmSync(made, { force: true });
    throw error;
  }
}

function told<T>(file: string, change: () => T): T {
  try {
    return change();
  } catch (error) {
    if (error instanceof ConfListError) throw new ConfListError(`${file}: ${error.message}`, { cause: error });
    throw error;
  }
}
