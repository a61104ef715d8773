/**
 * A container of the manifests and the staged files -> its process, as a runtime starts it on a node with the node's network: mounts and
 * process numbers of its own, a read-only root, of the node what is mounted, and no capability but its own.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type RunningCommand, run, start } from '../../src/child-process.ts';
import { netns } from '../../src/native.ts';
import type { Container, PodTemplate } from './support.ts';

/** What deploy/Dockerfile sets, and the command that it starts. */
const ENVIRONMENT = ['PATH=/usr/local/bin:/usr/sbin:/usr/bin', 'NODE_ENV=production'];
const ENTRYPOINT = '/usr/local/bin/selvedge';
const DEVICES = 'null zero full random urandom';

/** It takes one capability more than the container has to change the root, which gives it nothing there. */
const START = `set -e
root=$1 capabilities=$2 node=$3
shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/dev"
for device in ${DEVICES}; do touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
while [ "$1" != -- ]; do mount --bind "\${1%%:*}" "$root\${1#*:}"; shift; done
shift
mount -o remount,bind,ro "$root"
cd /
exec env -i ${ENVIRONMENT.join(' ')} NODE_NAME="$node" \\
  setpriv --no-new-privs --bounding-set "-all$capabilities" --inh-caps "-all$capabilities" chroot "$root" "$@"`;

export interface ContainerOptions {
  readonly tree: string;
  readonly files: NodeFiles;
  /** Of the node. */
  readonly namespace: string;
  readonly pod: PodTemplate['spec'];
  readonly container: Container;
  /** What the node is called; default: node1. */
  readonly node?: string;
  /** After those of the manifest. */
  readonly args?: readonly string[];
  /** Folders of the node that no manifest asks for, to be seen at the same path. */
  readonly more?: readonly string[];
}

interface Line {
  readonly event?: string;
  readonly msg?: string;
  readonly [field: string]: unknown;
}

export class ContainerProcess {
  readonly lines: Line[] = [];
  readonly #command: RunningCommand;
  readonly #checks = new Set<() => void>();
  readonly #namespace: string;

  constructor({ tree, files, namespace, pod, container, node = 'node1', args = [], more = [] }: ContainerOptions) {
    this.#namespace = namespace;
    const { capabilities } = container.securityContext;
    const bound = ['sys_chroot', ...(capabilities.add ?? [])].map((name) => `,+${name.toLowerCase()}`).join('');
    const mounts = container.volumeMounts.map(({ name, mountPath }) => {
      const volume = pod.volumes.find((one) => one.name === name);
      if (volume === undefined) throw new Error(`no volume ${name}`);
      return `${files.pathOf(volume.hostPath)}:${mountPath}`;
    });
    mounts.push(...more.map((path) => `${path}:${path}`));
    for (const mount of mounts) placeFor(mount, tree);
    const own = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child=KILL'];
    const inside = container.command ?? [ENTRYPOINT, ...container.args, ...args];
    const command = [...own, 'bash', '-c', START, 'container', tree, bound, node, ...mounts, '--', ...inside];
    const onLine = (line: string) => {
      this.lines.push(parsed(line));
      for (const check of [...this.#checks]) check();
    };
    // It must not outlive a test run that is killed.
    this.#command = netns.run(namespace, () => {
      return start('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...command], { onLine });
    });
    void this.#command.ended.then((how) => onLine(JSON.stringify({ event: 'ended', msg: how })));
  }

  get running(): boolean {
    return this.#command.running;
  }

  /** How it ends: `exited with 0`. */
  get ended(): Promise<string> {
    return this.#command.ended;
  }

  get words(): string {
    return this.lines
      .map(({ msg, event, ...rest }) => (event ? JSON.stringify({ event, msg, ...rest }) : msg))
      .join('\n');
  }

  /** Resolves with the first line that fits. @throws Error it ended before */
  until(fits: (line: Line) => boolean): Promise<Line> {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = this.lines.find((line) => fits(line) || line.event === 'ended');
        if (found === undefined) return;
        this.#checks.delete(check);
        if (fits(found)) resolve(found);
        else reject(new Error(`the container ${found.msg}:\n${this.words}`));
      };
      this.#checks.add(check);
      check();
    });
  }

  /** As the kubelet ends it. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<string> {
    if (this.running) process.kill(this.#first, signal);
    return await this.ended;
  }

  /** As `kubectl exec`. */
  exec(...command: readonly string[]): Promise<string> {
    const into = ['--target', `${this.#first}`, '--mount', '--pid', '--root', '--wd'];
    const clean = ['env', '-i', ...ENVIRONMENT];
    return netns.run(this.#namespace, () => ({
      output: run('env', [...clean.slice(1), 'nsenter', ...into, ...command]),
    })).output;
  }

  /** The first process of its own, which is another's number here. */
  get #first(): number {
    const { pid } = this.#command;
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    if (!child) throw new Error(`the container has no process:\n${this.words}`);
    return Number(child);
  }
}

/** The files of a node, in a folder: what containers mount of it. Its bpffs is a folder of the machine's own. */
export class NodeFiles implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'selvedge-node-'));
  readonly #pins: string;

  constructor(pins: string) {
    this.#pins = pins;
    mkdirSync(pins, { recursive: true });
  }

  /** Made as the volume's type says. @returns where it is on this machine */
  pathOf({ path, type }: { readonly path: string; readonly type?: string }): string {
    if (path === '/sys/fs/bpf') return this.#pins;
    const place = join(this.folder, path);
    if (type === 'FileOrCreate') {
      mkdirSync(dirname(place), { recursive: true });
      writeFileSync(place, '', { flag: 'a' });
    } else mkdirSync(place, { recursive: true });
    return place;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.#pins, { recursive: true, force: true });
  }
}

/** What a runtime makes in the container's own layer, before that is read-only. */
function placeFor(mount: string, tree: string): void {
  const [source = '', target = ''] = mount.split(':');
  for (const path of ['proc', 'sys', 'dev']) mkdirSync(join(tree, path), { recursive: true });
  if (target.startsWith('/sys/')) return;
  const place = join(tree, target);
  if (source.endsWith('.lock')) {
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, '', { flag: 'a' });
  } else mkdirSync(place, { recursive: true });
}

function parsed(line: string): Line {
  try {
    return JSON.parse(line);
  } catch {
    return { msg: line };
  }
}
