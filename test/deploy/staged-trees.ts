/** The checkout -> the files of its image, staged as the Dockerfile does it, and those of a next version: with other programs. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/child-process.ts';
import { OtherObjects } from '../agent/support/other-objects.ts';

export class StagedTrees implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), `slv-${process.pid}-staged-`));
  readonly now = join(this.#folder, 'now');
  readonly next = join(this.#folder, 'next');
  /** What the staging has said of sizes. */
  readonly report: string;

  static async make(): Promise<StagedTrees> {
    const trees = new StagedTrees();
    using objects = new OtherObjects();
    await run('cp', ['--archive', '--link', trees.now, trees.next]);
    const object = join(trees.next, 'opt/selvedge/build/policy.bpf.o');
    // Not the file that both trees share.
    rmSync(object);
    const changes = ['from_pod', 'to_pod'].map((name) => ({
      file: 'policy.bpf.c',
      from: new RegExp(`return ${name}_frame\\(skb\\);`),
      to: `bpf_get_prandom_u32(); return ${name}_frame(skb);`,
    }));
    cpSync(await objects.compile('next', changes), object);
    return trees;
  }

  private constructor() {
    this.report = execFileSync(process.execPath, ['deploy/stage.ts', this.now], { encoding: 'utf8' });
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
