import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Address, covers, type Prefix } from '../../src/model/address.ts';
import { addressAt, allocate, gatewayOf } from '../../src/model/allocate.ts';
import { type ClusterObject, keyOf, type Node, type ObjectKey, type Pod } from '../../src/model/cluster.ts';
import { placePods } from '../../src/model/placement.ts';

function pod(name: string, more: Partial<Pod> = {}): Pod {
  const open = { labels: {}, addresses: [], hostNetwork: false, finished: false, ports: [] };
  return { kind: 'Pod', namespace: 'shop', name, ...open, ...more };
}

function node(name: string, more: Partial<Node> = {}): Node {
  return { kind: 'Node', name, addresses: [], podPrefixes: [], ...more };
}

const addresses = (...texts: string[]): Address[] => texts as Address[];
const prefixes = (...texts: string[]): Prefix[] => texts as Prefix[];
const nodesOf = (objects: readonly ClusterObject[]): Node[] => objects.filter((object) => object.kind === 'Node');
const podsOf = (objects: readonly ClusterObject[]): Pod[] => objects.filter((object) => object.kind === 'Pod');
const podNamed = (objects: readonly ClusterObject[], name: string): Pod => {
  const found = podsOf(objects).find((one) => one.name === name);
  if (found === undefined) throw new Error(`no pod ${name}`);
  return found;
};

describe('pods get nodes', () => {
  it('the one that they name', () => {
    expect(podNamed(placePods([pod('web', { node: 'b' }), node('a')]), 'web').node).toBe('b');
  });

  it('node1 when nothing names any', () => {
    expect(podNamed(placePods([pod('web')]), 'web').node).toBe('node1');
  });

  it('one of those that Node objects and other pods name, each node some', () => {
    const many = Array.from({ length: 100 }, (_, index) => pod(`web-${index}`));
    const placed = podsOf(placePods([...many, node('a'), pod('api', { node: 'b' })]));
    expect(new Set(placed.map((one) => one.node))).toEqual(new Set(['a', 'b']));
  });

  it('and keep them when pods come and go, or move to the node that came', () => {
    const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,6}$/), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(names, names, (some, others) => {
        const nodes = [node('a'), node('b'), node('c')];
        const before = placePods([...nodes, ...some.map((name) => pod(name))]);
        const more = others.filter((name) => !some.includes(name)).map((name) => pod(name));
        const after = placePods([node('d'), ...nodes, ...more, ...some.map((name) => pod(name))]);
        for (const name of some) {
          expect([podNamed(before, name).node, 'd']).toContain(podNamed(after, name).node);
        }
      }),
    );
  });
});

describe('nodes get prefixes and addresses', () => {
  it('by their number in the order of names', () => {
    const { objects } = allocate([pod('web', { node: 'b' }), node('a')]);
    expect(nodesOf(objects)).toEqual([
      node('a', {
        podPrefixes: prefixes('10.244.1.0/24', 'fd00:10:244:1::/64'),
        addresses: addresses('172.30.0.2', 'fd00:172:30::2'),
      }),
      node('b', {
        podPrefixes: prefixes('10.244.2.0/24', 'fd00:10:244:2::/64'),
        addresses: addresses('172.30.0.3', 'fd00:172:30::3'),
      }),
    ]);
  });

  it('but keep those that they have, which nobody else gets', () => {
    const given = node('b', { podPrefixes: prefixes('10.244.0.0/22'), addresses: addresses('172.30.0.2') });
    const { objects } = allocate([node('a'), given]);
    const [a, b] = nodesOf(objects);
    expect(b).toEqual(given);
    expect(a?.podPrefixes).toEqual(prefixes('10.244.4.0/24', 'fd00:10:244:4::/64'));
    expect(a?.addresses).toEqual(addresses('172.30.0.4', 'fd00:172:30::4'));
  });

  it('3,071 nodes of them have prefixes; pods on one more are told so', () => {
    const nodes = Array.from({ length: 3072 }, (_, index) => node(`n${String(index).padStart(5, '0')}`));
    const { objects, warnings } = allocate([...nodes, pod('web', { node: 'n03071' }), pod('api', { node: 'n03070' })]);
    expect(podNamed(objects, 'api').addresses[0]).toMatch(/^10\.255\.255\./);
    expect(podNamed(objects, 'web').addresses).toEqual([]);
    expect(warnings.map((warning) => warning.object)).toEqual(['Pod shop/web']);
  });
});

describe('pods get addresses', () => {
  it("of both families in the prefixes of their node, never the bridge's", () => {
    const { objects } = allocate(Array.from({ length: 250 }, (_, index) => pod(`web-${index}`)));
    const [only] = nodesOf(objects);
    const all = podsOf(objects).flatMap((one) => one.addresses);
    expect(all).toHaveLength(500);
    expect(new Set(all).size).toBe(500);
    for (const address of all) expect(only?.podPrefixes.some((prefix) => covers(prefix, address))).toBe(true);
    for (const prefix of only?.podPrefixes ?? []) expect(all).not.toContain(gatewayOf(prefix));
    for (const taken of ['10.244.1.0', '10.244.1.255']) expect(all).not.toContain(taken);
  });

  it('unless they have some, in whatever families; those are not given out again', () => {
    const first = podNamed(allocate([pod('web')]).objects, 'web').addresses;
    const holder = pod('api', { addresses: first.slice(0, 1) });
    const { objects } = allocate([pod('web'), holder]);
    expect(podNamed(objects, 'api').addresses).toEqual(first.slice(0, 1));
    expect(podNamed(objects, 'web').addresses).not.toContain(first[0]);
    expect(podNamed(objects, 'web').addresses).toHaveLength(2);
  });

  it('of the families that their node has', () => {
    const { objects } = allocate([node('a', { podPrefixes: prefixes('fd00:1::/64') }), pod('web')]);
    expect(podNamed(objects, 'web').addresses).toHaveLength(1);
    expect(podNamed(objects, 'web').addresses[0]).toMatch(/^fd00:1::/);
  });

  it('of their node when they share its network', () => {
    const { objects } = allocate([pod('proxy', { hostNetwork: true })]);
    expect(podNamed(objects, 'proxy').addresses).toEqual(addresses('172.30.0.2', 'fd00:172:30::2'));
  });

  it('but not when they are finished or have none by their own word', () => {
    const { objects, warnings } = allocate(
      [pod('done', { finished: true }), pod('later')],
      new Set(['shop/later' as ObjectKey]),
    );
    expect(podsOf(objects).map((one) => one.addresses)).toEqual([[], []]);
    expect(warnings).toEqual([]);
  });

  it('as long as there is room', () => {
    const small = node('a', { podPrefixes: prefixes('10.9.0.0/29') });
    const { objects, warnings } = allocate([small, ...['p', 'q', 'r', 's', 't', 'u'].map((name) => pod(name))]);
    const all = podsOf(objects)
      .flatMap((one) => one.addresses)
      .sort();
    expect(all).toEqual(['10.9.0.2', '10.9.0.3', '10.9.0.4', '10.9.0.5', '10.9.0.6']);
    expect(warnings).toEqual([
      expect.objectContaining({
        object: 'Pod shop/u',
        field: 'status.podIPs',
        message: expect.stringContaining('10.9.0.0/29'),
      }),
    ]);
    const none = node('a', { podPrefixes: prefixes('10.9.0.1/32') });
    expect(allocate([none, pod('p')]).warnings).toHaveLength(1);
  });

  it('that depend on the objects alone, in whatever order they come', () => {
    const objects = [node('a'), node('b'), ...Array.from({ length: 40 }, (_, index) => pod(`web-${index}`))];
    const byKey = (list: readonly ClusterObject[]) => new Map(list.map((one) => [`${one.kind} ${keyOf(one)}`, one]));
    expect(byKey(allocate(objects.toReversed()).objects)).toEqual(byKey(allocate(objects).objects));
  });

  it('that mostly stay when others come and go', () => {
    const ten = Array.from({ length: 10 }, (_, index) => pod(`web-${index}`));
    const before = allocate(ten).objects;
    const moved = Array.from({ length: 50 }, (_, index) => {
      const after = allocate([...ten, pod(`api-${index}`)]).objects;
      return ten.filter(({ name }) => podNamed(after, name).addresses[0] !== podNamed(before, name).addresses[0])
        .length;
    });
    expect(moved.filter((count) => count > 0).length).toBeLessThanOrEqual(5);
  });
});

it('counts addresses across byte boundaries', () => {
  expect(addressAt('10.0.0.0/8' as Prefix, 65_536 + 258)).toBe('10.1.1.2');
  expect(addressAt('fd00::/64' as Prefix, 65_537)).toBe('fd00::1:1');
});
