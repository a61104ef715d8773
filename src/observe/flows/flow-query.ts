/** What a reader of flows asks for, as text -> whether a flow is among it. */
import type { Flow, FlowEnd, FlowQuery } from '../../api/contract.ts';
import { type Address, covers, parseAddress, parsePrefix } from '../../model/address.ts';

/** A parameter that cannot be understood; the message names it. */
export class FlowQueryError extends Error {
  readonly code = 'FLOW_QUERY';
  constructor(parameter: string, value: string, must: string) {
    super(`${parameter} must be ${must}, not ${JSON.stringify(value)}`);
    this.name = 'FlowQueryError';
  }
}

export interface FlowFilter {
  matches(flow: Flow): boolean;
  /** Milliseconds since 1970; flows of before are left out. */
  readonly since?: number;
  readonly last?: number;
  readonly follow: boolean;
}

type EndTest = (end: FlowEnd) => boolean;

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86400 };
const NAME = '[a-z0-9]([-a-z0-9.]*[a-z0-9])?';
const NAMESPACE = new RegExp(`^${NAME}$`);
const OBJECT = new RegExp(`^${NAME}/${NAME}$`);

/** @param now milliseconds since 1970 @throws {FlowQueryError} */
export function flowFilter(query: FlowQuery, now: number): FlowFilter {
  const tests: ((flow: Flow) => boolean)[] = [];
  const add = (value: string | undefined, test: (one: string) => (flow: Flow) => boolean) => {
    if (value === undefined) return;
    const alternatives = value.split(',').map((one) => test(one.trim()));
    tests.push((flow) => alternatives.some((matches) => matches(flow)));
  };
  add(query.namespace, (one) => {
    if (!NAMESPACE.test(one)) throw new FlowQueryError('namespace', one, "a namespace's name");
    return either(podIn(one));
  });
  add(query.pod, (one) => {
    if (!OBJECT.test(one)) throw new FlowQueryError('pod', one, 'NAMESPACE/POD');
    return either(({ pod }) => pod === one);
  });
  add(query.from, (one) => of('from', endTest('from', one)));
  add(query.to, (one) => of('to', endTest('to', one)));
  add(query.port, portTest);
  add(query.verdict, (one) => {
    if (one !== 'allow' && one !== 'deny') throw new FlowQueryError('verdict', one, 'allow or deny');
    return ({ verdict }) => verdict === one;
  });
  add(query.policy, (one) => {
    if (!OBJECT.test(one)) throw new FlowQueryError('policy', one, 'NAMESPACE/NAME');
    return ({ policies, rule }) => rule?.policy === one || policies.some((policy) => policy === one);
  });
  const { last } = query;
  if (last !== undefined && !(Number.isSafeInteger(last) && last >= 0)) {
    throw new FlowQueryError('last', String(last), 'a number from 0');
  }
  return {
    matches: (flow) => tests.every((test) => test(flow)),
    follow: query.follow ?? false,
    ...(query.since !== undefined && { since: sinceOf(query.since, now) }),
    ...(last !== undefined && { last }),
  };
}

function either(test: EndTest): (flow: Flow) => boolean {
  return ({ from, to }) => test(from) || test(to);
}

function of(end: 'from' | 'to', test: EndTest): (flow: Flow) => boolean {
  return (flow) => test(flow[end]);
}

function podIn(namespace: string): EndTest {
  return ({ pod, service }) => [pod, service].some((key) => key?.startsWith(`${namespace}/`));
}

function endTest(parameter: string, text: string): EndTest {
  if (text.endsWith('/') && NAMESPACE.test(text.slice(0, -1))) return podIn(text.slice(0, -1));
  const address = parseAddress(text);
  if (address !== undefined) return (end) => end.address === address;
  const prefix = parsePrefix(text);
  if (prefix !== undefined) return (end) => end.address !== undefined && covers(prefix, end.address as Address);
  if (!OBJECT.test(text)) {
    throw new FlowQueryError(parameter, text, 'NAMESPACE/POD, NAMESPACE/, an address or a prefix');
  }
  return ({ pod, service }) => pod === text || service === text;
}

function portTest(text: string): (flow: Flow) => boolean {
  const [, digits, , protocol] = /^(\d+)?(\/?([a-z0-9]+))?$/i.exec(text) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  const known = protocol === undefined || /^(tcp|udp|sctp|icmp|icmpv6)$/i.test(protocol);
  if ((port === undefined && protocol === undefined) || !known || (port ?? 0) > 65535) {
    throw new FlowQueryError('port', text, 'a port as 80, 80/tcp, or a protocol');
  }
  return (flow) => {
    if (protocol !== undefined && flow.protocol.toLowerCase() !== protocol.toLowerCase()) return false;
    return port === undefined || flow.port === port;
  };
}

function sinceOf(text: string, now: number): number {
  const [, count, unit = ''] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (count !== undefined) return now - Number(count) * (UNITS[unit] ?? 0) * 1000;
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time))
    throw new FlowQueryError('since', text, 'a duration as 90s, 5m, 1h, or a time as 2026-11-21T10:00:00Z');
  return time;
}
