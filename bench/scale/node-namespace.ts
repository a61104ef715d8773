/** A node's network namespace with the veths of its pods, each pod in a namespace of its own. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { isBpffs, mountBpffs } from '../../src/native.ts';

const BPFFS = '/sys/fs/bpf';

export class NodeNamespace implements Disposable {
  readonly name = `slvscale${process.pid}`;
  /** For pins. */
  readonly directory = `${BPFFS}/${this.name}`;
  readonly #pods: string[] = [];
  /** However the benchmark ends. */
  readonly #onExit = () => this[Symbol.dispose]();

  constructor() {
    process.on('exit', this.#onExit);
    if (!isBpffs(BPFFS)) mountBpffs(BPFFS);
    ip('netns add', this.name);
    ip(`-n ${this.name} link set lo up`);
    ip(`-n ${this.name} link add cni0 type bridge`);
    ip(`-n ${this.name} link set cni0 up`);
  }

  /** Pods with these addresses, each on a port of the bridge. */
  addPods(addresses: readonly (readonly string[])[]): void {
    for (const own of addresses) {
      const pod = `${this.name}p${this.#pods.length}`;
      const link = `veth${this.#pods.length}`;
      this.#pods.push(pod);
      ip('netns add', pod);
      ip(`-n ${pod} link add eth0 type veth peer name ${link} netns ${this.name}`);
      for (const address of own)
        ip(`-n ${pod} addr add ${address}/${address.includes(':') ? '64 nodad' : '16'} dev eth0`);
      ip(`-n ${pod} link set eth0 up`);
      ip(`-n ${this.name} link set ${link} master cni0 up`);
    }
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#onExit);
    rmSync(this.directory, { recursive: true, force: true });
    const names = [...this.#pods, this.name];
    const input = names.map((name) => `netns delete ${name}`).join('\n');
    execFileSync('ip', ['-force', '-batch', '-'], { input, stdio: ['pipe', 'ignore', 'inherit'] });
  }
}

function ip(...command: string[]): void {
  execFileSync('ip', command.join(' ').split(' '), { stdio: ['ignore', 'ignore', 'inherit'] });
}
