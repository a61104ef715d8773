/**
 * What a node must do on whatever kernel it has, by agents of either data plane and packets between pods: enforce, go on
 * while nobody is there, be taken over, change, be taken off. `scripts/test-kernels` runs this on kernels of others.
 */
import { expect, it } from 'vitest';
import { isKernelSince, OLDEST_FOR_BPF } from '../../src/kernel-release.ts';
import { features, listTc, netns } from '../../src/native.ts';
import { FedNode } from '../agent/support/fed-node.ts';
import { type NodeAgent, selvedge } from '../agent/support/node-agent.ts';
import { describeAsRoot } from '../support/privilege.ts';

const hasBpf = isKernelSince(OLDEST_FOR_BPF);
/** Longer than an emulated processor takes to check the programs, several times. */
const PATIENCE = 900_000;

describeAsRoot('a node with this kernel', () => {
  const settings = (dataplane: string) => [
    '--dataplane',
    dataplane,
    '--socket',
    '',
    '--health-address',
    '',
    '--set-sysctls',
  ];
  const chosen = (agent: NodeAgent) => agent.until(({ event }) => event === 'dataplane');

  /** Of what is asked in one go: api from web, api from db, db from api. */
  const verdicts = ({ node }: FedNode) => [
    node.reaches('web', 'api'),
    node.reaches('db', 'api'),
    node.reaches('api', 'db'),
  ];

  async function begin(fed: FedNode, dataplane: string): Promise<NodeAgent> {
    fed.node.track();
    fed.admit('api', 'web');
    const agent = fed.agent({ args: settings(dataplane) });
    for (const [place, name] of ['web', 'api', 'db'].entries()) fed.start(name, `10.66.0.${place + 10}`);
    await agent.enforced('web', 'api', 'db');
    for (const name of ['web', 'api', 'db']) await fed.node.whenUp(name);
    return agent;
  }

  it.each(hasBpf ? ['bpf', 'ipset'] : ['ipset'])(
    'is enforced by %s, also while no agent is there, by the next one, and no more when that is taken off',
    async (dataplane) => {
      await using fed = await FedNode.start();
      const first = await begin(fed, dataplane);
      expect(verdicts(fed)).toEqual([true, false, true]);

      await first.end('SIGKILL');
      expect(verdicts(fed)).toEqual([true, false, true]);
      const second = fed.agent({ args: settings(dataplane) });
      await second.ready();
      expect(verdicts(fed)).toEqual([true, false, true]);

      let said = second.said.length;
      fed.admit('api', 'db');
      await second.until(({ event, policy }) => event === 'policy' && policy === 'shop/api', said);
      expect(verdicts(fed)).toEqual([false, true, true]);
      said = second.said.length;
      fed.stop('db');
      fed.start('db', '10.66.0.30');
      await second.until(({ msg }) => msg === 'enforced for shop/db', said);
      await fed.node.whenUp('db');
      expect(verdicts(fed)).toEqual([false, true, true]);

      await second.end('SIGTERM');
      await selvedge(fed.node.namespace, 'cleanup', '--pin-dir', fed.pins.path, '--socket', '');
      expect(verdicts(fed)).toEqual([true, true, true]);
      const left = netns.run(fed.node.namespace, () => listTc(fed.node.pod('api').ifindex, 'egress'));
      expect(left).toEqual([]);
    },
    PATIENCE,
  );

  it(
    'gets the best data plane that there is, and is told which, how, and what is missing for a better one',
    async () => {
      await using fed = await FedNode.start();
      const agent = await begin(fed, 'auto');
      const { dataplane, reason } = await chosen(agent);
      if (hasBpf) {
        expect(dataplane).toBe('bpf');
        expect(reason).toContain(`programs attached by ${features.hasTcx() ? 'tcx' : 'clsact'}`);
        const modes = netns.run(fed.node.namespace, () => listTc(fed.node.pod('api').ifindex, 'egress'));
        expect(modes.map(({ mode }) => mode)).toEqual([features.hasTcx() ? 'tcx' : 'clsact']);
      } else {
        expect(dataplane).toBe('ipset');
        expect(reason).toMatch(/^bpf is not possible here: Linux \S+ is older than 5\.12, which the programs need/);
      }
      console.log(`${dataplane}: ${reason}`);
      expect(verdicts(fed)).toEqual([true, false, true]);
    },
    PATIENCE,
  );
});
