/** What would be written, told before it is, and nothing is. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Compiler } from '../../../src/compile/compiler.ts';
import type { DesiredState } from '../../../src/dataplane/contract.ts';
import { IpsetDryRun } from '../../../src/dataplane/ipset/dry-run.ts';
import { policy } from '../../support/cases/case.ts';
import { cast } from '../../support/cases/cast.ts';
import { slim, TestCluster } from '../../support/kernel/cluster.ts';
import { desiredState } from '../../support/kernel/site.ts';
import type { ClusterObject as RawObject } from '../../support/oracle/objects.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { EnforcedNode } from './support/enforced-node.ts';

const all = policy('shop/all', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
const from = (app: string) => {
  return policy('shop/api', {
    podSelector: { matchLabels: { app: 'api' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app } } }] }],
  });
};

for (const variant of ['nft', 'legacy'] as const) {
  describeAsRoot(`a dry run with iptables-${variant}`, () => {
    let node: EnforcedNode;

    beforeEach(async () => {
      node = await EnforcedNode.open('dry', { variant, catchUpAfter: 0 });
    });

    afterEach(() => node?.close());

    const stateOf = (raw: readonly RawObject[]): DesiredState => {
      const compiler = new Compiler({ node: 'node1' });
      compiler.apply(raw.map((object) => ({ type: 'upsert', object: slim(object) })));
      return desiredState(node.packets, compiler.state, new TestCluster(raw).ownAddresses('node1'));
    };
    const report = async (state = node.state()) => {
      const within = <T>(start: () => T) => node.packets.namespace.run(start);
      const dataplane = await IpsetDryRun.open({ variant, within });
      await dataplane.apply(state);
      return dataplane.report;
    };
    const everything = () => {
      const texts = [`iptables-${variant}-save`, `ip6tables-${variant}-save`].map((name) => node.packets.command(name));
      return [...texts, node.packets.command('ipset', 'save'), node.packets.command('nft', 'list', 'tables')]
        .join('\n')
        .replaceAll(/^#.*$|\[\d+:\d+\]/gm, '');
    };

    it('tells what is missing where nothing is in force, and leaves it so', async () => {
      await node.apply([...cast, all]);
      const { places, inForce } = await report();
      expect(places).toEqual([]);
      expect(inForce).toEqual([4, 6]);
      for (const name of ['iptables', 'ip6tables']) node.packets.command(`${name}-${variant}`, '-t', 'mangle', '-F');
      const before = everything();
      const flushed = await report();
      expect(flushed.inForce).toEqual([]);
      expect(flushed.places.map(({ place }) => place)).toContain('IPv6 chain FORWARD');
      expect(everything()).toBe(before);
    });

    it('tells what another state would change, in the names of the policies', async () => {
      const before = [...cast, all, from('web')];
      await node.apply(before);
      const written = everything();
      expect((await report(stateOf(before))).places).toEqual([]);
      const { places } = await report(stateOf([...cast, all, from('cache')]));
      // Another set, and the rule in each direction of a connection; of the set before, all goes.
      expect(places.map(({ place }) => place.replaceAll(/(SELVEDGE|selvedge)-\S+:/g, '$1:'))).toEqual(
        [4, 6].flatMap((family) => [
          `IPv${family} chain SELVEDGE: shop/all, shop/api (ingress)`,
          `IPv${family} chain SELVEDGE: shop/all, shop/api (ingress, replies)`,
          `IPv${family} set selvedge: pods shop/{app=cache}`,
          expect.stringMatching(/^IPv[46] set selvedge-/),
        ]),
      );
      expect(everything()).toBe(written);
    });
  });
}
