/** A node of a test: a network namespace with whatever others have left in it, and files of its own, as the checks find it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run, runSync } from '../../../src/child-process.ts';
import type { Result } from '../../../src/doctor/check.ts';
import { TestNamespace } from '../../support/kernel/test-namespace.ts';

const EXAMINE = fileURLToPath(new URL('../fixtures/examine.ts', import.meta.url));

export class ExaminedNode implements Disposable {
  readonly namespace: TestNamespace;
  /** Of its files. */
  readonly root = mkdtempSync(join(tmpdir(), 'selvedge-node-'));

  constructor(interfaces: readonly string[] = []) {
    this.namespace = new TestNamespace('doctor', interfaces);
  }

  file(path: string, content: string): this {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), content);
    return this;
  }

  /** Runs a program on it to its end. */
  run(command: string, args: readonly string[], input = ''): string {
    return this.namespace.run(() => runSync(command, args, { input }));
  }

  /** The link that Flannel's VXLAN backend makes, with its MTU. */
  addFlannelLink(): void {
    const vxlan = 'type vxlan id 1 dstport 8472 local 127.0.0.1';
    this.run('ip', `link add flannel.1 mtu 1450 ${vxlan}`.split(' '));
  }

  /** What those checks find; `root`: its own files unless told. @param before what the process is run by */
  async find(
    ids: readonly string[],
    { root = this.root, before = ['env'] } = {},
  ): Promise<ReadonlyMap<string, Result>> {
    const [name = '', ...args] = [...before, process.execPath, EXAMINE, root, ...ids];
    const said = this.namespace.run(() => ({ text: run(name, args) }));
    const results: Result[] = JSON.parse(await said.text);
    return new Map(results.map((result) => [result.id, result]));
  }

  async findOne(id: string, options: { root?: string; before?: string[] } = {}): Promise<Result> {
    return (await this.find([id], options)).get(id) as Result;
  }

  [Symbol.dispose](): void {
    this.namespace.close();
    rmSync(this.root, { recursive: true, force: true });
  }
}
