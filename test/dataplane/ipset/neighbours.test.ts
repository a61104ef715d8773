/** Living beside others: their rules and sets stay as they are, and what they do to ours is noticed and mended. */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { detectVariant } from '../../../src/dataplane/ipset/detect-variant.ts';
import type { Damage } from '../../../src/dataplane/ipset/ipset-dataplane.ts';
import { cleanupIpsetDataplane, openIpsetDataplane } from '../../../src/dataplane/ipset/open.ts';
import { Programs, type Variant } from '../../../src/dataplane/ipset/programs.ts';
import { policy } from '../../support/cases/case.ts';
import { cast } from '../../support/cases/cast.ts';
import type { Question } from '../../support/oracle/oracle.ts';
import { describeAsRoot } from '../../support/privilege.ts';
import { EnforcedNode } from './support/enforced-node.ts';

const objects = [...cast, policy('shop/all', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] })];
const DENIED: Question = { from: 'audit/web', to: 'shop/api', family: 'IPv4', protocol: 'TCP', port: 80 };

for (const variant of ['nft', 'legacy'] as const) {
  describeAsRoot(`ipset and iptables-${variant}`, () => {
    let node: EnforcedNode;
    let damages: Damage[];

    beforeEach(async () => {
      damages = [];
      node = await EnforcedNode.open('foreign', { variant, onDamage: (damage) => damages.push(damage) });
    });

    afterEach(() => node?.close());

    const iptables = (...args: readonly string[]) => node.packets.command(`iptables-${variant}`, ...args);
    const within = <T>(start: () => T) => node.packets.namespace.run(start);

    /** All rules and sets, without counters and comments. */
    const everything = (): string => {
      const commands = [`iptables-${variant}-save`, `ip6tables-${variant}-save`].map((name) => {
        return node.packets.command(name).replaceAll(/^#.*$|\[\d+:\d+\]/gm, '');
      });
      return [...commands, node.packets.command('ipset', 'save'), node.packets.command('nft', 'list', 'tables')].join();
    };

    const addForeign = (name: string) => {
      node.packets.command('ipset', 'create', `foreign-${name}`, 'hash:ip');
      for (const table of ['mangle', 'filter']) {
        iptables('-t', table, '-N', `FOREIGN-${name}`);
        iptables(
          '-t',
          table,
          '-A',
          `FOREIGN-${name}`,
          '-m',
          'set',
          '--match-set',
          `foreign-${name}`,
          'src',
          '-j',
          'DROP',
        );
        iptables('-t', table, name === 'after' ? '-A' : '-I', 'FORWARD', '-j', `FOREIGN-${name}`);
      }
    };

    it('leave others’ rules and sets alone, whenever they come, and nothing of ours after a cleanup', async () => {
      addForeign('before');
      const without = everything();
      await node.apply(objects);
      addForeign('between');
      await node.apply(cast);
      await node.apply(objects);
      addForeign('after');
      await node.apply(cast);
      await node.restart();
      await node.apply(objects);
      expect(node.passes(DENIED)).toBe(false);
      expect(everything().match(/foreign-\w+/g)?.length).toBeGreaterThan(8);
      node.dataplane.close();
      expect(await cleanupIpsetDataplane({ within })).toBeGreaterThan(10);
      for (const name of ['between', 'after']) {
        for (const table of ['mangle', 'filter']) {
          iptables('-t', table, '-D', 'FORWARD', '-j', `FOREIGN-${name}`);
          iptables('-t', table, '-F', `FOREIGN-${name}`);
          iptables('-t', table, '-X', `FOREIGN-${name}`);
        }
        node.packets.command('ipset', 'destroy', `foreign-${name}`);
      }
      const left = everything();
      expect(left.toLowerCase()).not.toContain('selvedge');
      expect(tablesWithRules(left)).toEqual(tablesWithRules(without));
      expect(await cleanupIpsetDataplane({ within })).toBe(0);
    });

    it('begin from whatever an agent before has left half done', async () => {
      await node.apply(objects);
      iptables('-t', 'mangle', '-N', 'SELVEDGE-L-leftover');
      iptables('-t', 'mangle', '-N', 'SELVEDGE-R-leftover');
      node.packets.command('ipset', 'create', 'selvedge-L4-leftover', 'hash:ip');
      node.packets.command('ipset', 'create', 'selvedge-R4-leftover', 'hash:ip');
      await node.restart();
      await node.apply(objects);
      await node.apply(objects);
      expect(everything()).not.toContain('leftover');
      expect(node.passes(DENIED)).toBe(false);
    });

    const attacks: Record<string, () => void> = {
      'a flush of all rules': () => void iptables('-t', 'mangle', '-F'),
      'a jump that went': () => void iptables('-t', 'mangle', '-D', 'FORWARD', '-j', 'SELVEDGE-FORWARD'),
      'a rule before ours that accepts': () => void iptables('-t', 'mangle', '-I', 'FORWARD', '-j', 'ACCEPT'),
      'a jump before ours to where something is accepted': () => {
        iptables('-t', 'mangle', '-N', 'FOREIGN-accepting');
        iptables('-t', 'mangle', '-A', 'FOREIGN-accepting', '-p', 'tcp', '-j', 'ACCEPT');
        iptables('-t', 'mangle', '-I', 'FORWARD', '-m', 'comment', '--comment', 'theirs', '-j', 'FOREIGN-accepting');
      },
      'a flush of all sets': () => void node.packets.command('ipset', 'flush'),
      'a member that went': () => {
        for (const side of ['L', 'R']) {
          node.packets.command('ipset', '-exist', 'del', `selvedge-${side}4-ingress`, '10.244.0.12');
        }
      },
      'a flush of nftables’ tables': () => void node.packets.command('nft', 'delete', 'table', 'bridge', 'selvedge'),
    };

    for (const [name, attack] of Object.entries(attacks)) {
      it(`notice and mend ${name}`, async () => {
        await node.apply(cast);
        await node.apply(objects);
        await node.dataplane.audit();
        expect(damages).toEqual([]);
        attack();
        await node.dataplane.audit();
        expect(damages).toHaveLength(1);
        expect(damages[0]?.error).toBeUndefined();
        expect(await node.dataplane.damages()).toEqual([]);
        expect(node.passes(DENIED)).toBe(false);
        await node.dataplane.audit();
        expect(damages).toHaveLength(1);
      });
    }

    it('leave the rules before ours where they are when these let packets go on', async () => {
      await node.apply(objects);
      iptables('-t', 'mangle', '-I', 'FORWARD', '-j', 'MARK', '--set-xmark', '0x1/0x1');
      addForeign('before');
      await node.dataplane.audit();
      expect(damages).toEqual([]);
    });

    it('say which pods are not protected when iptables does not see bridged packets, and set it when told to', async () => {
      const sysctl = '/proc/sys/net/bridge/bridge-nf-call-ip6tables';
      within(() => writeFileSync(sysctl, '0'));
      await node.apply(objects);
      expect(node.dataplane.unprotected).toEqual([
        {
          reason: expect.stringContaining('net.bridge.bridge-nf-call-ip6tables must be 1'),
          pods: expect.arrayContaining(['shop/web', 'shop/api', 'audit/web']),
        },
      ]);
      expect(within(() => readFileSync(sysctl, 'utf8')).trim()).toBe('0');
      await node.restart({ setSysctls: true });
      await node.apply(objects);
      expect(node.dataplane.unprotected).toEqual([]);
      expect(within(() => readFileSync(sysctl, 'utf8')).trim()).toBe('1');
    });

    it('take the variant that others use, and say when both are in use', async () => {
      const programs: Record<Variant, Programs> = {
        nft: new Programs({ variant: 'nft', within }),
        legacy: new Programs({ variant: 'legacy', within }),
      };
      expect(await detectVariant(programs)).toMatchObject({ variant: 'nft', both: false });
      addForeign('before');
      expect(await detectVariant(programs)).toMatchObject({ variant, both: false });
      node.dataplane.close();
      const { choice, dataplane } = await openIpsetDataplane({ within, auditEvery: 0 });
      dataplane.close();
      expect(choice.variant).toBe(variant);
      const other = variant === 'nft' ? 'legacy' : 'nft';
      node.packets.command(`iptables-${other}`, '-t', 'mangle', '-N', 'KUBE-KUBELET-CANARY');
      node.packets.command(`iptables-${other}`, '-A', 'FORWARD', '-j', 'ACCEPT');
      expect(await detectVariant(programs)).toMatchObject({ variant: other, both: true });
    });
  });
}

/** An empty table is none: reading may make one, and the kernel takes none away. */
function tablesWithRules(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => /^-A |^:[A-Z]+-|^create |^add |^table /.test(line) && !/^table ip6? /.test(line));
}
