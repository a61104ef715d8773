/** A compiler of no node in particular: what questions about the whole cluster are asked of. */
import { expect, test } from 'vitest';
import { Compiler } from '../../src/compile/compiler.ts';
import { pod, policy, put } from './build.ts';

test('without a node the pods of all nodes are endpoints, each with its rulesets', () => {
  const compiler = new Compiler({});
  compiler.apply(
    put(
      pod('shop/here', '10.0.0.1'),
      pod('shop/there', '10.0.1.1', { node: 'there' }),
      pod('free/there', '10.0.1.2', { node: 'there' }),
      policy('shop/deny'),
    ),
  );
  const { endpoints } = compiler.state;
  expect([...endpoints].map(([key, { ingress }]) => [key, ingress])).toEqual([
    ['shop/here', 'ingress shop/deny'],
    ['shop/there', 'ingress shop/deny'],
    ['free/there', undefined],
  ]);
});
