/** What shares the node with its pods and is none: a bridge of another container engine, which `--not-pods` names. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runSync } from '../../src/child-process.ts';
import { Listeners } from '../../src/lab/probing/listeners.ts';
import { probe } from '../../src/lab/probing/probe.ts';
import type { Station } from '../../src/lab/probing/station.ts';
import type { Address } from '../../src/model/address.ts';
import { policy } from '../sources/kubernetes/objects.ts';
import { eventually } from '../support/eventually.ts';
import { describeAsRoot } from '../support/privilege.ts';
import { FedNode } from './support/fed-node.ts';

const PORT = 80;

for (const dataplane of ['bpf', 'ipset'])
  describeAsRoot(`a container of another engine, beside ${dataplane}`, () => {
    let fed: FedNode;
    let container: Station;
    const listeners = new Listeners();

    beforeAll(async () => {
      fed = await FedNode.start();
      fed.start('web', '10.66.0.10');
      container = addContainer(fed);
    });

    afterAll(async () => {
      listeners.close();
      runSync('ip', ['netns', 'delete', container.namespace]);
      await fed?.[Symbol.asyncDispose]();
    });

    async function verdict(from: Station, to: Station): Promise<string> {
      listeners.ensure(to, 'TCP', PORT);
      return (await probe({ from, to, protocol: 'TCP', port: PORT })).verdict;
    }

    it('is cut off as an unknown pod, unless the agent is told', async () => {
      const ifindex = fed.node.ifindexOf('vdock');
      const args = ['--dataplane', dataplane, '--set-sysctls'];
      const unaware = fed.agent({ args });
      await unaware.enforced('web');
      await unaware.until(({ event, ifindex: about }) => event === 'interface' && about === ifindex);
      expect(await verdict(container, fed.node.pod('web'))).toBe('deny');
      await unaware.end('SIGTERM');

      const agent = fed.agent({ args: [...args, '--not-pods', 'docker0', 'br-*'] });
      await agent.enforced('web');
      expect(await verdict(container, fed.node.pod('web'))).toBe('allow');
      expect(await verdict(fed.node.pod('web'), container)).toBe('allow');

      // To the pods it is somewhere outside, as any other address that no selector means.
      fed.server.put(policy('shop', 'web', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }));
      await eventually(async () => expect(await verdict(container, fed.node.pod('web'))).toBe('deny'));
      expect(await verdict(fed.node.pod('web'), container)).toBe('deny');
    });
  });

/** As Docker's: a bridge with a network of its own. Nobody waits for ARP, which is dropped with everything else. */
function addContainer({ node }: FedNode): Station {
  const namespace = `${node.namespace}-dock`;
  const [gateway, own] = ['0a:58:ac:1e:00:01', '0a:58:ac:1e:00:02'];
  runSync('ip', ['netns', 'add', namespace]);
  node.ip([
    `link add docker0 address ${gateway} type bridge mcast_snooping 0`,
    'address add 172.30.0.1/16 dev docker0',
    'link set docker0 up',
    `link add vdock type veth peer name eth0 address ${own} netns ${namespace}`,
    'link set vdock master docker0 up',
    `neigh replace 172.30.0.2 lladdr ${own} dev docker0 nud permanent`,
  ]);
  const inside = [
    'link set eth0 up',
    'address add 172.30.0.2/16 dev eth0',
    'route add default via 172.30.0.1',
    `neigh replace 172.30.0.1 lladdr ${gateway} dev eth0 nud permanent`,
  ];
  runSync('ip', ['-n', namespace, '-batch', '-'], { input: inside.join('\n') });
  return { kind: 'pod', namespace, address: '172.30.0.2' as Address, name: 'a container' };
}
