/** The plugin on a node: its binary among the CNI's, and its place in the configuration list that the container runtime reads. */
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asList, ConfListError, PLUGIN, type PluginSettings, withoutPlugin, withPlugin } from './conf-list.ts';
import { removeLeftOvers, replaceFile } from './replace-file.ts';

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
 * @returns the files that were written @throws {ConfListError} nothing was changed in the list; what the file system refuses
 */
export function install({ confDir, binDir, settings, binary = BUILT_PLUGIN }: InstallOptions): string[] {
  const change = (text: string) => withPlugin(text, settings);
  const file = firstConf(confDir);
  told(file, () => change(textOf(file)));
  const target = join(binDir, PLUGIN);
  const written: string[] = [];
  if (!isSame(binary, target)) {
    mkdirSync(binDir, { recursive: true });
    removeLeftOvers(binDir);
    replaceFile(target, (made) => {
      copyFileSync(binary, made);
      chmodSync(made, 0o755);
    });
    written.push(target);
  }
  if (rewrite(file, change)) {
    removeLeftOvers(confDir);
    written.push(file);
  }
  return written;
}

/**
 * The lists first, all that can be; the binary stays for as long as one may name it.
 * @returns the files that were written or removed @throws {ConfListError} one names it and is no list; what the file system refuses
 */
export function uninstall({ confDir, binDir }: Places): string[] {
  const written: string[] = [];
  const failed: unknown[] = [];
  for (const file of confFiles(confDir)) {
    try {
      if (readFileSync(file).includes(PLUGIN) && rewrite(file, withoutPlugin)) written.push(file);
    } catch (error) {
      failed.push(error);
    }
  }
  if (failed.length > 0) throw failed[0];
  const target = join(binDir, PLUGIN);
  if (existsSync(target)) {
    rmSync(target, { force: true });
    written.push(target);
  }
  for (const folder of [confDir, binDir]) if (existsSync(folder)) removeLeftOvers(folder, 0);
  return written;
}

/** The one that container runtimes take: the first by name. @throws {ConfListError} */
function firstConf(confDir: string): string {
  const [file] = confFiles(confDir);
  if (file === undefined) throw new ConfListError(`there is no configuration in ${confDir}: install the CNI first`);
  if (!file.endsWith('.conflist')) {
    const list = told(file, () => asList(textOf(file)));
    throw new ConfListError(
      `${file} is a single configuration, to which nothing can be added: put ${list} into ${basename(file).replace(/\.\w+$/, '')}.conflist and remove ${file}`,
    );
  }
  return file;
}

/** As runtimes choose them: by the ending, and no folders. */
function confFiles(confDir: string): string[] {
  const entries = existsSync(confDir) ? readdirSync(confDir, { withFileTypes: true }) : [];
  const files = entries.filter((entry) => entry.isFile() || entry.isSymbolicLink()).map(({ name }) => name);
  return files
    .filter((name) => /\.(conf|conflist|json)$/.test(name))
    .sort()
    .map((name) => join(confDir, name));
}

/** @throws {ConfListError} it is no text, and could not be given back as it was */
function textOf(file: string): string {
  const bytes = readFileSync(file);
  const text = bytes.toString('utf8');
  if (!Buffer.from(text).equals(bytes)) throw new ConfListError('it is no UTF-8');
  return text;
}

function isSame(binary: string, target: string): boolean {
  if (!existsSync(target) || statSync(target).size !== statSync(binary).size) return false;
  return readFileSync(binary).equals(readFileSync(target));
}

/** What others write into it meanwhile is changed in its turn. @returns whether there was anything to change */
function rewrite(file: string, change: (text: string) => string | undefined): boolean {
  for (;;) {
    const text = told(file, () => textOf(file));
    const changed = told(file, () => change(text));
    if (changed === undefined) return false;
    // A link to it stays one.
    const place = realpathSync(file);
    const { mode, uid, gid } = statSync(place);
    const make = (made: string) => {
      writeFileSync(made, changed, { mode: mode & 0o777 });
      // The umask has its say in the line above.
      chmodSync(made, mode & 0o777);
      chownSync(made, uid, gid);
    };
    if (replaceFile(place, make, () => readFileSync(file, 'utf8') === text)) return true;
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
