/** A network namespace of this process for one test file, with interfaces that nothing passes unless a test sends it. */
import { execFileSync } from 'node:child_process';
import { netlink, netns } from '../../../src/native.ts';

let count = 0;

export class TestNamespace {
  /** `slv-PID-...`: a run that is killed leaves it to be swept by the next. */
  readonly name: string;
  /** Indexes of its interfaces, in the order of the names that were asked for. */
  readonly ifindexes: readonly number[];
  #closed = false;
  readonly #onExit = () => this.close();

  constructor(purpose: string, interfaces: readonly string[]) {
    this.name = `slv-${process.pid}-${purpose}${count++}`;
    ip(['netns', 'add', this.name]);
    process.on('exit', this.#onExit);
    const lines = interfaces.flatMap((name) => [
      `link add ${name} type veth peer name ${name}p`,
      `link set ${name} up`,
      `link set ${name}p up`,
    ]);
    this.run(() => ip(['-batch', '-'], lines.join('\n')));
    const links = this.run(() => netlink.links());
    this.ifindexes = interfaces.map((name) => links.find((link) => link.name === name)?.ifindex ?? 0);
  }

  /** Runs a synchronous function with this thread in the namespace. */
  run<T>(fn: () => T): T {
    return netns.run(this.name, fn);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    process.off('exit', this.#onExit);
    ip(['netns', 'delete', this.name]);
  }
}

export function ip(args: readonly string[], input = ''): string {
  return execFileSync('ip', args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
}
