/** The reasons of the compiled state's judgement; its verdicts are compared with the oracle in test/compile. */
import { describe, expect, test } from 'vitest';
import type { Address, Prefix } from '../../src/model/address.ts';
import { Block } from '../../src/model/block.ts';
import type { ObjectKey, Protocol } from '../../src/model/cluster.ts';
import type { CompiledState, Endpoint, IpSet, Ruleset, RulesetId, SetId } from '../../src/model/compiled.ts';
import { verdictOf } from '../../src/model/verdict.ts';

const friend = 'pods shop/{app=friend}' as SetId;
const ref = { policy: 'shop/in' as ObjectKey, direction: 'ingress', index: 1 } as const;
const ruleset: Ruleset = {
  id: 'ingress shop/in' as RulesetId,
  direction: 'ingress',
  policies: ['shop/in' as ObjectKey],
  rules: [{ ref, peers: [friend], ports: [{ protocol: 'TCP', from: 80, to: 90 }] }],
};
const web: Endpoint = {
  pod: 'shop/web' as ObjectKey,
  addresses: ['10.0.0.1', 'fd00::1'] as Address[],
  ingress: ruleset.id,
};
const state: CompiledState = {
  endpoints: new Map([[web.pod, web]]),
  rulesets: new Map([[ruleset.id, ruleset]]),
  sets: new Map<SetId, IpSet>([[friend, { kind: 'pods', id: friend, members: new Set(['10.0.0.2'] as Address[]) }]]),
  memberships: new Map([['10.0.0.2' as Address, new Set([friend])]]),
  awaited: new Map(),
};

function ask(source: string, destination: string, port = 80, protocol: Protocol | 'other' = 'TCP') {
  const ownAddresses = new Set(['192.168.0.1'] as Address[]);
  return verdictOf(state, {
    source: source as Address,
    destination: destination as Address,
    protocol,
    port,
    ownAddresses,
  });
}

describe('a verdict', () => {
  test('names the rule that admits', () => {
    expect(ask('10.0.0.2', '10.0.0.1')).toEqual({
      allowed: true,
      ingress: { allowed: true, reason: 'rule', by: ref, isolatedBy: ['shop/in'] },
    });
  });

  test('names the policies that isolate when no rule admits', () => {
    const denied = { allowed: false, ingress: { allowed: false, reason: 'no rule', isolatedBy: ['shop/in'] } };
    expect(ask('10.0.0.3', '10.0.0.1')).toEqual(denied);
    expect(ask('10.0.0.2', '10.0.0.1', 91)).toEqual(denied);
    expect(ask('10.0.0.2', '10.0.0.1', 80, 'UDP')).toEqual(denied);
    expect(ask('10.0.0.2', '10.0.0.1', 80, 'other')).toEqual(denied);
  });

  test('is always to admit the own node and the pod itself', () => {
    expect(ask('192.168.0.1', '10.0.0.1').ingress).toMatchObject({ allowed: true, reason: 'own node' });
    expect(ask('fd00::1', 'fd00::1')).toMatchObject({
      allowed: true,
      egress: { reason: 'self', isolatedBy: [] },
      ingress: { reason: 'self', isolatedBy: ['shop/in'] },
    });
  });

  test('is to admit where no policy isolates, and says nothing of ends that are no endpoints', () => {
    expect(ask('10.0.0.1', '10.0.0.2')).toEqual({
      allowed: true,
      egress: { allowed: true, reason: 'not isolated', isolatedBy: [] },
    });
    expect(ask('10.0.0.8', '10.0.0.9')).toEqual({ allowed: true });
  });
});

describe('a block', () => {
  const holds = (cidr: string, address: string, ...except: string[]) =>
    new Block(cidr as Prefix, except as Prefix[]).holds(address as Address);

  test('holds the addresses of its prefix, less the excepts, of its family', () => {
    expect(holds('10.0.0.0/9', '10.127.255.255')).toBe(true);
    expect(holds('10.0.0.0/9', '10.128.0.0')).toBe(false);
    expect(holds('10.0.0.0/8', '10.1.2.3', '10.1.0.0/16')).toBe(false);
    expect(holds('0.0.0.0/0', 'fd00::1')).toBe(false);
    expect(holds('fd00::/127', 'fd00::1')).toBe(true);
    expect(holds('fd00::1/128', 'fd00::2')).toBe(false);
  });
});
