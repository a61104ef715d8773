/** A pod and its own node: they always reach each other, or with `--judge-own-node` as egress policies say. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { netns, socket } from '../../src/native.ts';
import { policy } from '../sources/kubernetes/objects.ts';
import { eventually } from '../support/eventually.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { FedNode } from './support/fed-node.ts';
import { selvedge } from './support/node-agent.ts';
import { GATEWAY } from './support/small-node.ts';

const PORT = 7100;
const ISOLATED = '10.66.0.10';
const FREE = '10.66.0.11';
const ASK = ['explain', '--from', 'shop/isolated', '--to', GATEWAY, '--port', `${PORT}/udp`];

for (const dataplane of ['bpf', 'ipset'] as const) {
  describeAsRoot(`an agent by ${dataplane}`, () => {
    it.each([
      { args: [], allowed: true },
      { args: ['--judge-own-node'], allowed: false },
    ])('with $args: $allowed', async ({ args, allowed }) => {
      const folder = mkdtempSync(join(tmpdir(), `slv-${process.pid}-own-`));
      const api = join(folder, 'agent.sock');
      await using fed = await FedNode.start();
      const bind = { address: GATEWAY, port: PORT };
      const listener = netns.run(fed.node.namespace, () => socket.open({ family: 4, type: 'udp', bind }));
      const say = (name: string, text: string) => {
        const asker = netns.run(fed.node.pod(name).namespace, () => socket.open({ family: 4, type: 'udp' }));
        socket.send(asker, Buffer.from(text), bind);
        socket.close(asker);
      };
      try {
        fed.server.put(
          policy('shop', 'no-egress', { podSelector: { matchLabels: { app: 'isolated' } }, policyTypes: ['Egress'] }),
        );
        fed.start('isolated', ISOLATED);
        fed.start('free', FREE);
        const agent = fed.agent({ args: ['--dataplane', dataplane, '--set-sysctls', '--socket', api, ...args] });
        await agent.enforced('isolated', 'free');
        // Until the first whole state is in force the isolated pod may be closed.
        await eventually(async () => {
          const heard: string[] = [];
          say('isolated', 'asked');
          // What was sent before it is here before it, or nowhere.
          say('free', 'fence');
          while (heard.at(-1) !== 'fence') heard.push(`${socket.receive(listener, 5_000)?.data}`);
          expect(heard).toEqual(allowed ? ['asked', 'fence'] : ['fence']);
        });
        const answer = JSON.parse(await selvedge(fed.node.namespace, ...ASK, '-o', 'json', '--socket', api));
        expect(answer).toMatchObject({ verdict: allowed ? 'allow' : 'deny' });
      } finally {
        socket.close(listener);
        rmSync(folder, { recursive: true, force: true });
      }
    });
  });
}
