/** The cluster of the benchmark: N policies of which only the last admits the clients, as manifests and as naive rules. */
import { describe, expect, it } from 'vitest';
import { naiveRules } from '../../../src/bench/compare/engines/naive.ts';
import {
  addressesOf,
  baseManifests,
  objectOf,
  peerManifests,
  plannedPolicies,
  policyManifests,
} from '../../../src/bench/compare/world.ts';

describe('the manifests', () => {
  it('are valid, and of as many policies as were asked for', () => {
    expect(policyManifests(0)).toEqual([]);
    for (const manifest of [...baseManifests(), ...policyManifests(3), ...peerManifests(3)]) objectOf(manifest);
    expect(policyManifests(3)).toHaveLength(3);
    expect(peerManifests(3)).toHaveLength(2);
  });

  it('have another address for each of 10,000 peers', () => {
    const addresses = Array.from({ length: 9_999 }, (_, index) => addressesOf(`peer-${index}`)[0]);
    expect(new Set(addresses).size).toBe(9_999);
    for (const manifest of peerManifests(10_000)) objectOf(manifest);
  });

  it('that are not valid are told', () => {
    expect(() => objectOf({ apiVersion: 'v1', kind: 'Pod', metadata: {} })).toThrow('not valid');
  });
});

describe('naive rules', () => {
  const lines = (policies: number) => naiveRules('node1', [...plannedPolicies(policies)]).split('\n');

  it('have what is established first, then one for each policy and port of each selected pod, and a drop last', () => {
    const [first] = lines(3).filter((line) => line.startsWith('-A FORWARD'));
    expect(first).toBe('-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT');
    const chain = lines(3).filter((line) => line.startsWith('-A BENCH-IN-server '));
    expect(chain).toEqual([
      '-A BENCH-IN-server -s 10.245.0.1 -p tcp -m tcp --dport 10000 -j RETURN',
      '-A BENCH-IN-server -s 10.245.0.2 -p tcp -m tcp --dport 10001 -j RETURN',
      '-A BENCH-IN-server -s 10.244.1.11 -p tcp -m tcp --dport 5200:5299 -j RETURN',
      '-A BENCH-IN-server -s 10.244.1.11 -p udp -m udp --dport 5200:5299 -j RETURN',
      '-A BENCH-IN-server -s 10.244.2.12 -p tcp -m tcp --dport 5200:5299 -j RETURN',
      '-A BENCH-IN-server -s 10.244.2.12 -p udp -m udp --dport 5200:5299 -j RETURN',
      '-A BENCH-IN-server -j DROP',
    ]);
  });

  it('are for pods of the node alone, in both directions', () => {
    const chains = naiveRules('node2', [...plannedPolicies(1)]).match(/^:BENCH\S+/gm);
    expect(chains).toEqual([':BENCH-OUT-far-client', ':BENCH-IN-far-client']);
  });
});
