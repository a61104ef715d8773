/** What the oracle says beside allow and deny: who isolates, which rules admit, why policies are not asked. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { policy } from '../support/cases/case.ts';
import { cast, ground, NODE1, OUTSIDE, pod } from '../support/cases/cast.ts';
import { contains, formatAddress, parseAddress, parseBlock } from '../support/oracle/addresses.ts';
import { judge, type Question } from '../support/oracle/oracle.ts';

function question(from: string, to: string, more: Partial<Question> = {}): Question {
  return { from, to, family: 'IPv4', protocol: 'TCP', port: 80, ...more };
}

const from = (app: string) => [{ podSelector: { matchLabels: { app } } }];

describe('the reasons of the oracle', () => {
  const policies = [
    policy('shop/deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }),
    policy('shop/in', { podSelector: {}, ingress: [{ from: from('db') }, { from: from('web') }, {}] }),
    policy('shop/out', { podSelector: {}, policyTypes: ['Egress'], egress: [{ to: from('api') }] }),
  ];

  it('are every policy that isolates and every rule that admits, for each direction', () => {
    expect(judge([...cast, ...policies], question('shop/web', 'shop/api'))).toEqual({
      allowed: true,
      egress: {
        allowed: true,
        isolatedBy: ['shop/deny', 'shop/out'],
        admittedBy: [{ policy: 'shop/out', rule: 0 }],
      },
      ingress: {
        allowed: true,
        isolatedBy: ['shop/deny', 'shop/in'],
        admittedBy: [
          { policy: 'shop/in', rule: 1 },
          { policy: 'shop/in', rule: 2 },
        ],
      },
    });
  });

  it('judge an end outside of the cluster by no policy', () => {
    expect(judge([...cast, ...policies], question('shop/web', OUTSIDE.near4))).toEqual({
      allowed: false,
      egress: { allowed: false, isolatedBy: ['shop/deny', 'shop/out'], admittedBy: [] },
      ingress: { allowed: true, isolatedBy: [], admittedBy: [] },
    });
  });

  it('name the exemption of a pod to itself and of its own node', () => {
    const objects = [...cast, ...policies];
    expect(judge(objects, question('shop/web', 'shop/web'))).toMatchObject({ allowed: true, exempt: 'self' });
    expect(judge(objects, question(NODE1.ipv4, 'shop/web'))).toMatchObject({ allowed: true, exempt: 'own-node' });
    expect(judge(objects, question('shop/web', NODE1.ipv4))).toMatchObject({ allowed: true, exempt: 'own-node' });
  });
});

describe('an end without an address', () => {
  const objects = [
    ...ground,
    pod('shop/four', '1:61', { podIPs: ['10.244.0.61'] }),
    pod('shop/starting', '1:62', { podIPs: [] }),
    pod('shop/done', '1:63', { phase: 'Succeeded' }),
    pod('shop/other', '1:64'),
    pod('shop/host', '1:0', { hostNetwork: true, podIPs: [] }),
  ];

  it('has no verdict', () => {
    expect(judge(objects, question('shop/four', 'shop/other', { family: 'IPv6' }))).toBe('no-address');
    expect(judge(objects, question('shop/other', 'shop/starting'))).toBe('no-address');
    expect(judge(objects, question('shop/done', 'shop/other'))).toBe('no-address');
    expect(judge(objects, question('shop/other', OUTSIDE.near6))).toBe('no-address');
  });

  it('is not a hostNetwork pod whose node has one', () => {
    expect(judge(objects, question('shop/other', 'shop/host'))).toMatchObject({ exempt: 'own-node' });
  });
});

describe('a question that makes no sense', () => {
  it('throws, naming the pod that does not exist', () => {
    expect(() => judge(cast, question('shop/nobody', 'shop/web'))).toThrow('shop/nobody');
  });

  it('throws when a port is missing', () => {
    const { port: _, ...portless } = question('shop/api', 'shop/web');
    expect(() => judge(cast, portless)).toThrow('port');
  });

  it('throws when two live pods hold one address', () => {
    expect(() => judge([...cast, pod('shop/twin', '1:11')], question('shop/web', 'shop/api'))).toThrow('10.244.0.11');
  });
});

describe('addresses', () => {
  it('are the same however they are written', () => {
    expect(parseAddress('2001:DB8::')).toEqual(parseAddress('2001:db8:0:0:0:0:0:0'));
    expect(formatAddress(parseAddress('::1'))).toBe('0:0:0:0:0:0:0:1');
    expect(formatAddress(parseAddress('255.0.1.9'))).toBe('255.0.1.9');
  });

  it('are refused when they are none', () => {
    for (const text of ['', '1.2.3', '1.2.3.4.5', '::ffff:1.2.3.4', 'fe80::1%eth0', 'host']) {
      expect(() => parseAddress(text), text).toThrow();
    }
    for (const text of ['1.2.3.4', '1.2.3.4/33', '::/129', '1.2.3.0/', '1.2.3.0/-1']) {
      expect(() => parseBlock(text), text).toThrow();
    }
  });

  it('are inside of blocks of their own family only', () => {
    expect(contains(parseBlock('0.0.0.0/0'), parseAddress('::'))).toBe(false);
    expect(contains(parseBlock('::/0'), parseAddress('0.0.0.0'))).toBe(false);
    expect(contains(parseBlock('255.255.255.255/32'), parseAddress('255.255.255.255'))).toBe(true);
  });
});

describe('the independence of the oracle', () => {
  it('is that it imports nothing of the product, nor any package', () => {
    const folder = new URL('../support/oracle/', import.meta.url);
    const imports = readdirSync(folder).flatMap((file) =>
      [...readFileSync(new URL(file, folder), 'utf8').matchAll(/from '([^']+)'/g)].map(([, target]) => target ?? ''),
    );
    expect(imports.filter((target) => !/^(\.\/[a-z-]+\.ts|node:net)$/.test(target))).toEqual([]);
  });
});
