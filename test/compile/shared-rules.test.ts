/** Rules that stay are the same objects, in every ruleset and every state: what a data plane has worked out of one serves the next. */
import { describe, expect, test } from 'vitest';
import { Compiler } from '../../src/compile/compiler.ts';
import type { NetworkPolicy, PolicyPort } from '../../src/model/cluster.ts';
import type { CompiledRule, RuleRef } from '../../src/model/compiled.ts';
import { named, pod, pods, policy, put, remove, rule, selector, tcp } from './build.ts';

const http = { ports: [{ name: 'http', protocol: 'TCP' as const, port: 8080 }] };

describe('a rule', () => {
  test.each([
    ['of ports that are numbers', 'ingress', tcp(80)],
    ['whose ports the holder names', 'ingress', named('http')],
    ['whose ports the destinations name', 'egress', named('http')],
  ] as const)(
    '%s is one object for pods under different policies, before and after one comes',
    (_, direction, port) => {
      const compiler = new Compiler({ node: 'here' });
      const kept = admitting('shop/kept', direction, port);
      const one = { ...admitting('shop/more', direction, tcp(81)), podSelector: selector({ app: 'web' }) };
      compiler.apply(put(pod('shop/web', '10.0.0.1', http), pod('shop/api', '10.0.0.2', http), kept));
      const [before, ...others] = rulesOf(compiler, 'shop/kept');
      expect(before).toBeDefined();
      expect(others).toEqual([]);
      compiler.apply(put(one));
      const rules = rulesOf(compiler, 'shop/kept');
      expect(rules).toHaveLength(2);
      for (const rule of rules) expect(rule).toBe(before);
      compiler.apply([remove('NetworkPolicy', 'shop/more')]);
      expect(rulesOf(compiler, 'shop/kept')).toEqual([before]);
      expect(rulesOf(compiler, 'shop/kept')[0]).toBe(before);
    },
  );

  test('whose port means another number is another object', () => {
    const compiler = new Compiler({ node: 'here' });
    const renumbered = { ports: [{ name: 'http', protocol: 'TCP' as const, port: 9090 }] };
    compiler.apply(put(pod('shop/web', '10.0.0.1', http), admitting('shop/kept', 'ingress', named('http'))));
    const [before] = rulesOf(compiler, 'shop/kept');
    expect(before?.ports).toEqual([{ protocol: 'TCP', from: 8080, to: 8080 }]);
    compiler.apply(put(pod('shop/web', '10.0.0.1', renumbered)));
    const [after] = rulesOf(compiler, 'shop/kept');
    expect(after?.ports).toEqual([{ protocol: 'TCP', from: 9090, to: 9090 }]);
    expect(before?.ports).toEqual([{ protocol: 'TCP', from: 8080, to: 8080 }]);
  });
});

function admitting(key: string, direction: 'ingress' | 'egress', port: PolicyPort): NetworkPolicy {
  return policy(key, { policyTypes: [direction], [direction]: [rule([pods({ app: 'api' })], [port])] });
}

/** Of each ruleset, the rules of one policy. */
function rulesOf(compiler: Compiler, name: string): CompiledRule[] {
  const isOf = ({ policy }: RuleRef) => policy === name;
  return [...compiler.state.rulesets.values()].flatMap(({ rules }) => rules.filter(({ ref }) => isOf(ref)));
}
