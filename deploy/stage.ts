/**
 * A checkout that is built -> the files that an image needs, in a folder, and how large each part is. What the Dockerfile calls.
 *
 *   node deploy/stage.ts FOLDER
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Of packages: what nobody loads; `.bare` is for another runtime than Node. */
const UNUSED = /\.(d\.[cm]?ts|map|md|markdown|bare)$|(^|\/)(test|tests|docs|examples?|coverage)\/|\/(CHANGELOG|README)/;

/** That the agent and its commands run, and a shell for bin/selvedge. `tail` and `setpriv`: so that `flows` ends with its reader. */
const PROGRAMS = [
  ...['sh', 'readlink', 'dirname', 'sleep', 'tail', 'setpriv', 'ip', 'ipset', 'nft'],
  ...['iptables', 'ip6tables'].flatMap((name) => {
    return ['nft', 'legacy'].flatMap((variant) => ['', '-save', '-restore'].map((step) => `${name}-${variant}${step}`));
  }),
];
const PLACES = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const LIBRARIES = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu'];

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

function stage(target: string): Map<string, number> {
  if (existsSync(target) && readdirSync(target).length > 0) throw new Error(`${target} is not empty`);
  const app = join(target, 'opt/selvedge');
  const put = (what: string, filter?: (path: string) => boolean) => {
    const from = join(ROOT, what);
    if (!existsSync(from)) throw new Error(`${what} is missing: build the checkout first (npm run setup)`);
    mkdirSync(dirname(join(app, what)), { recursive: true });
    const wanted = (path: string) => filter === undefined || filter(relative(from, path));
    cpSync(from, join(app, what), { recursive: true, dereference: true, filter: wanted });
    return sizeOf(join(app, what));
  };
  const sizes = new Map<string, number>();
  sizes.set('our sources', put('src') + put('bin') + put('package.json'));
  sizes.set('BPF object', put('build/policy.bpf.o'));
  sizes.set('CNI plugin', put('build/cni/selvedge-cni'));
  sizes.set('load generator', put('build/selvedge-load'));
  sizes.set('native addon', stageAddon(put));
  let packages = 0;
  for (const name of productionPackages()) packages += put(name, (path) => !UNUSED.test(path));
  sizes.set('npm packages', packages);
  // As bin/selvedge looks for it.
  const node = realpathSync(join(ROOT, 'node_modules/.bin/node'));
  mkdirSync(join(app, 'node_modules/.bin'), { recursive: true });
  cpSync(node, join(app, 'node_modules/.bin/node'));
  sizes.set('Node', statSync(node).size);
  sizes.set('system', stageSystem(target, [node]));
  mkdirSync(join(target, 'usr/local/bin'), { recursive: true });
  symlinkSync('/opt/selvedge/bin/selvedge', join(target, 'usr/local/bin/selvedge'));
  return sizes;
}

/** What the agent runs, and whatever it and Node are linked with: at the places where they are here. @returns bytes */
function stageSystem(target: string, linked: readonly string[]): number {
  const copied = new Set<string>();
  const put = (path: string): number => {
    const to = join(target, path);
    if (copied.has(path) || existsSync(to)) return 0;
    copied.add(path);
    mkdirSync(dirname(to), { recursive: true });
    const real = realpathSync(path);
    if (real === path) {
      cpSync(path, to);
      return statSync(path).size;
    }
    symlinkSync(real, to);
    return put(real);
  };
  // As on the distribution itself: a script's first line says /bin/sh.
  for (const name of ['bin', 'sbin']) {
    mkdirSync(join(target, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, join(target, name));
  }
  const programs = PROGRAMS.map((name) => {
    const found = PLACES.map((place) => join(place, name)).find((path) => existsSync(path));
    if (found === undefined) throw new Error(`${name} is not installed here`);
    return found;
  });
  const extensions = LIBRARIES.map((place) => join(place, 'xtables')).find((path) => existsSync(path));
  const plugins = extensions === undefined ? [] : readdirSync(extensions).map((name) => join(extensions, name));
  let size = 0;
  for (const path of [...programs, ...plugins]) size += put(path);
  for (const path of [...programs, ...plugins, ...linked])
    for (const library of librariesOf(path)) size += put(library);
  return size;
}

function librariesOf(path: string): string[] {
  const text = execFileSync('ldd', [path], { encoding: 'utf8' });
  return [...text.matchAll(/(\/\S+) \(0x/g)].map(([, library = '']) => library);
}

function stageAddon(put: (what: string, filter?: (path: string) => boolean) => number): number {
  const built = readdirSync(join(ROOT, 'native/build/Release')).filter((name) => name.endsWith('.node'));
  const base = 'node_modules/selvedge-libbpf';
  let size = put(`${base}/package.json`) + put(`${base}/lib`, (path) => !path.endsWith('.d.ts'));
  for (const name of built) size += put(`${base}/build/Release/${name}`);
  return size;
}

/** Folders of the packages that are loaded at run time: ours and theirs, but for what only builds the addon. */
function productionPackages(): Set<string> {
  const found = new Set<string>();
  const visit = (name: string, from: string): void => {
    for (let at = from; ; at = dirname(at)) {
      const folder = join(at, 'node_modules', name);
      if (existsSync(join(ROOT, folder, 'package.json'))) {
        if (found.has(folder)) return;
        found.add(folder);
        for (const inner of Object.keys(manifestOf(folder).dependencies ?? {})) visit(inner, folder);
        return;
      }
      // Optional ones may be absent.
      if (at === '.') return;
    }
  };
  for (const name of Object.keys(manifestOf('.').dependencies ?? {})) if (name !== 'selvedge-libbpf') visit(name, '.');
  // A package in another's folder goes with it.
  return new Set([...found].filter((folder) => ![...found].some((outer) => folder.startsWith(`${outer}/`))));
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest;
}

function sizeOf(path: string): number {
  const status = statSync(path);
  if (!status.isDirectory()) return status.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}

const [target] = process.argv.slice(2);
if (target === undefined) {
  process.stderr.write('usage: node deploy/stage.ts FOLDER\n');
  process.exitCode = 2;
} else {
  const sizes = stage(target);
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  for (const [part, size] of [...sizes, ['in all', total] as const]) {
    process.stdout.write(`${part.padEnd(14)} ${(size / 2 ** 20).toFixed(1).padStart(7)} MiB\n`);
  }
}
