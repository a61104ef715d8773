/** The form of a semantic case: one rule of the NetworkPolicy API as a small cluster and who reaches whom in it. */
import type { Family } from '../oracle/addresses.ts';
import type { ClusterObject, NetworkPolicy, NetworkPolicySpec } from '../oracle/objects.ts';
import { familyOf, type Protocol, type Question } from '../oracle/oracle.ts';

export interface SemanticCase {
  /** The rule as a sentence; unique in the table. */
  readonly name: string;
  /** Raw objects, ready to be written as manifests. Every pod that has addresses states them. */
  readonly manifests: readonly ClusterObject[];
  readonly expectations: readonly Expectation[];
}

/** Ends are `namespace/name` of a pod, or an address. */
export interface Expectation {
  readonly from: string;
  readonly to: string;
  readonly protocol: Protocol;
  readonly port?: number;
  /** Absent: in every family that both ends have. */
  readonly family?: Family;
  readonly verdict: 'allow' | 'deny';
  readonly why: string;
}

type Transport = 'TCP' | 'UDP' | 'SCTP';

/** `443/TCP`, `ICMP`, or any other IP protocol by its number. */
export type TrafficText = `${number}/${Transport}` | 'ICMP' | number;

export function allow(from: string, to: string, traffic: TrafficText, why: string): Expectation {
  return { from, to, ...parseTraffic(traffic), verdict: 'allow', why };
}

export function deny(from: string, to: string, traffic: TrafficText, why: string): Expectation {
  return { from, to, ...parseTraffic(traffic), verdict: 'deny', why };
}

export function over(family: Family, expectation: Expectation): Expectation {
  return { ...expectation, family };
}

/** A policy by `namespace/name`. */
export function policy(name: `${string}/${string}`, spec: NetworkPolicySpec): NetworkPolicy {
  const [namespace = '', own = ''] = name.split('/');
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: own, namespace }, spec };
}

/**
 * The families that an expectation speaks of: its own, the one of an end that is an address, else both. Of both, those
 * that an end does not have have no verdict and are to be left out.
 */
export function questionsOfExpectation({ from, to, protocol, port, family }: Expectation): Question[] {
  const given = family ?? familyOf(from) ?? familyOf(to);
  const families: Family[] = given === undefined ? ['IPv4', 'IPv6'] : [given];
  return families.map((each) => ({ from, to, family: each, protocol, ...(port === undefined ? {} : { port }) }));
}

function parseTraffic(traffic: TrafficText): { protocol: Protocol; port?: number } {
  if (typeof traffic === 'number' || traffic === 'ICMP') return { protocol: traffic };
  const [port, protocol] = traffic.split('/');
  return { protocol: protocol as Transport, port: Number(port) };
}
