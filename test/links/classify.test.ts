import { expect, it } from 'vitest';
import { classify, type LinkFacts, nameTest } from '../../src/links/classify.ts';
import type { Address } from '../../src/model/address.ts';

function link(
  ifindex: number,
  facts: Partial<Omit<LinkFacts, 'addresses'>> & { addresses?: string[] } = {},
): LinkFacts {
  const addresses = (facts.addresses ?? []).map((text) => {
    const [address, length] = text.split('/');
    return { address: address as Address, prefixLength: Number(length) };
  });
  return { ifindex, name: `if${ifindex}`, loopback: false, ...facts, addresses };
}

it('finds pods, ways out and the rest on a Flannel node that is a container itself', () => {
  const roles = classify([
    link(1, { loopback: true, addresses: ['127.0.0.1/8'] }),
    link(2, { kind: 'veth', peerNetnsId: 0, addresses: ['172.18.0.2/16', 'fe80::2/64'] }),
    link(3, { kind: 'vxlan', addresses: ['10.244.0.0/32'] }),
    link(4, { kind: 'bridge', addresses: ['10.244.0.1/24'] }),
    link(5, { kind: 'veth', peerNetnsId: 1, master: 4 }),
    link(6, { kind: 'bridge', addresses: ['172.17.0.1/16'] }),
  ]);
  expect([...roles.values()]).toEqual(['none', 'exit', 'exit', 'none', 'pod', 'exit']);
});

it('takes the host’s end of a routed veth for a pod’s, with a single address or with none', () => {
  const roles = classify([
    link(7, { kind: 'veth', peerNetnsId: 1, addresses: ['10.244.0.1/32', 'fe80::7/64'] }),
    link(8, { kind: 'veth', peerNetnsId: 2 }),
    link(9, { kind: 'veth' }),
  ]);
  expect([...roles.values()]).toEqual(['pod', 'pod', 'exit']);
});

it('leaves alone what is said to be no pod’s: a bridge with its ports, and a veth by its name', () => {
  const roles = classify(
    [
      link(1, { name: 'cni0', kind: 'bridge', addresses: ['10.244.0.1/24'] }),
      link(2, { name: 'veth1', kind: 'veth', peerNetnsId: 1, master: 1 }),
      link(3, { name: 'docker0', kind: 'bridge', addresses: ['172.17.0.1/16'] }),
      link(4, { name: 'veth2', kind: 'veth', peerNetnsId: 2, master: 3 }),
      link(5, { name: 'lxc7', kind: 'veth', peerNetnsId: 3 }),
      link(6, { name: 'my-docker0', kind: 'veth', peerNetnsId: 4 }),
    ],
    nameTest(['docker0', 'lxc*']),
  );
  expect([...roles.values()]).toEqual(['none', 'pod', 'exit', 'none', 'exit', 'pod']);
});
