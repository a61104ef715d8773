/** A verdict as the data plane tells it -> a line with everybody's name of the moment. */
import type { Flow, FlowEnd } from '../../api/contract.ts';
import type { Address } from '../../model/address.ts';
import type { ObjectKey } from '../../model/cluster.ts';
import type { VerdictEvent } from '../../model/verdict-event.ts';
import type { NameLookup } from '../name-index.ts';

const PROTOCOLS: Readonly<Record<number, string>> = { 1: 'ICMP', 6: 'TCP', 17: 'UDP', 58: 'ICMPv6', 132: 'SCTP' };
const WITH_PORTS: readonly number[] = [6, 17, 132];
const IP: readonly number[] = [0x0800, 0x86dd];

/** @param at of the packet, by the clock on the wall */
export function flowLine(event: VerdictEvent, { node, names }: { node: string; names: NameLookup }, at: Date): Flow {
  const { verdict, reason, direction, pod, rule, policies } = event;
  const endOf = (address: Address | undefined): FlowEnd => {
    return address === undefined ? {} : { address, ...names.nameOf(address) };
  };
  // Known by its interface, whatever address it writes on its packets: one that is forged names somebody else.
  const ownEnd = (own: ObjectKey, address: Address | undefined): FlowEnd => {
    return { ...(address !== undefined && { address }), pod: own, node };
  };
  const hasPorts = WITH_PORTS.includes(event.protocol) && IP.includes(event.ethertype);
  return {
    kind: 'flow',
    time: at.toISOString(),
    node,
    verdict,
    reason,
    direction,
    from: pod !== undefined && direction === 'egress' ? ownEnd(pod, event.source) : endOf(event.source),
    to: pod !== undefined && direction === 'ingress' ? ownEnd(pod, event.destination) : endOf(event.destination),
    protocol: protocolOf(event),
    ...(hasPorts && { sourcePort: event.sourcePort, port: event.destinationPort }),
    ...(rule && { rule: { policy: rule.policy, field: `spec.${rule.direction}[${rule.index}]` } }),
    policies,
    count: 1,
  };
}

function protocolOf({ ethertype, protocol }: VerdictEvent): string {
  if (!IP.includes(ethertype)) return `0x${ethertype.toString(16).padStart(4, '0')}`;
  return PROTOCOLS[protocol] ?? String(protocol);
}
