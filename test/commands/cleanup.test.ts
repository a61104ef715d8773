/** `selvedge cleanup` and what it is told to take away: only what an agent leaves. */
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { run } from '../../src/child-process.ts';
import { folderWith } from '../observe/command.ts';
import { TestNamespace } from '../support/kernel/test-namespace.ts';
import { describeAsRoot } from '../support/privilege.ts';

const SELVEDGE = fileURLToPath(new URL('../../bin/selvedge', import.meta.url));

describeAsRoot('cleanup', () => {
  it('removes a socket, and no other file that is named for one', async () => {
    using opened = new DisposableStack();
    const namespace = opened.adopt(new TestNamespace('cleanup', []), (one) => one.close());
    const folder = folderWith({});
    const [socket, file] = [join(folder, 'agent.sock'), join(folder, 'letter.txt')];
    const listening = opened.adopt(createServer().listen(socket), (one) => one.close());
    await once(listening, 'listening');
    writeFileSync(file, 'of somebody');
    for (const path of [socket, file]) {
      await namespace.run(() => ({
        text: run(SELVEDGE, ['cleanup', '--pin-dir', join(folder, 'none'), '--socket', path]),
      })).text;
    }
    expect([existsSync(socket), existsSync(file)]).toEqual([false, true]);
  });
});
