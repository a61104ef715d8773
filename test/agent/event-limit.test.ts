/** `--event-limit`: how many drops each CPU tells; those over it are counted as left out. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Status } from '../../src/api/contract.ts';
import { eventually } from '../support/eventually.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { FedNode } from './support/fed-node.ts';
import { selvedge } from './support/node-agent.ts';

const DROPS = 50;

describeAsRoot('an agent with --event-limit', () => {
  it.each([
    ['0', 'tells all'],
    ['1', 'leaves some out'],
  ])('%s %s', async (limit) => {
    const folder = mkdtempSync(join(tmpdir(), `slv-${process.pid}-limit-`));
    const socket = join(folder, 'agent.sock');
    await using fed = await FedNode.start();
    try {
      fed.admit('api');
      for (const [place, name] of ['api', 'db'].entries()) fed.start(name, `10.66.0.${place + 10}`);
      const agent = fed.agent({ args: ['--dataplane', 'bpf', '--event-limit', limit, '--socket', socket] });
      await agent.enforced('api', 'db');
      await fed.node.whenUp('api');
      await eventually(async () => {
        for (let drop = 0; drop < DROPS; drop++) expect(fed.node.reaches('db', 'api')).toBe(false);
        const text = await selvedge(fed.node.namespace, 'status', '-o', 'json', '--socket', socket);
        const { losses } = JSON.parse(text) as Status;
        expect(losses.limited > 0).toBe(limit === '1');
      }, 200);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('takes whole numbers that the programs can count to', async () => {
    await using fed = await FedNode.start();
    for (const wrong of ['-1', '1.5', 'many', `${2 ** 32}`]) {
      await expect(selvedge(fed.node.namespace, 'agent', `--event-limit=${wrong}`, '--dry-run')).rejects.toThrow(
        'a whole number up to',
      );
    }
  });
});
