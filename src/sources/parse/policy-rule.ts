/** One peer and one port of a NetworkPolicy's rule, checked as the API server checks them. */
import { covers, type Prefix, parsePrefix, splitPrefix } from '../../model/address.ts';
import type { Peer, PolicyPort } from '../../model/cluster.ts';
import { describe, type Field } from './field.ts';
import { parseSelector } from './selector.ts';
import { portOrName } from './syntax.ts';

export const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;

/** undefined, and a complaint, when it is not valid. */
export function parsePeer(field: Field): Peer | undefined {
  field.only('podSelector', 'namespaceSelector', 'ipBlock');
  const podSelector = field.child('podSelector');
  const namespaceSelector = field.child('namespaceSelector');
  const ipBlock = field.child('ipBlock');
  const selects = podSelector.present || namespaceSelector.present;
  if (ipBlock.present) {
    // "If this field is set then neither of the other fields can be."
    return selects
      ? field.complain('ipBlock cannot be combined with podSelector or namespaceSelector')
      : parseIpBlock(ipBlock);
  }
  if (!selects) return field.complain('a peer needs podSelector, namespaceSelector or ipBlock');
  return {
    kind: 'pods',
    ...(namespaceSelector.present && { namespaceSelector: parseSelector(namespaceSelector) }),
    ...(podSelector.present && { podSelector: parseSelector(podSelector) }),
  };
}

function parseIpBlock(field: Field): Peer | undefined {
  field.only('cidr', 'except');
  const cidrField = field.child('cidr');
  const cidr = prefixOf(cidrField);
  if (!cidrField.present) cidrField.complain('a CIDR is required');
  const except: Prefix[] = [];
  for (const item of field.child('except').items()) {
    const excepted = prefixOf(item);
    if (excepted === undefined || cidr === undefined) continue;
    const inside = covers(cidr, excepted) && splitPrefix(excepted).length > splitPrefix(cidr).length;
    if (inside) except.push(excepted);
    else item.complain(`must be inside of ${cidr} and smaller, not ${describe(item.value)}`);
  }
  return cidr && { kind: 'ipBlock', cidr, except };
}

/** Bits behind the prefix are tolerated and cleared, as the API server tolerates them. */
function prefixOf(field: Field): Prefix | undefined {
  const text = field.text();
  if (text === undefined) return undefined;
  return parsePrefix(text) ?? field.complain(`must be a CIDR such as 10.0.0.0/8 or fd00::/8, not ${describe(text)}`);
}

/** undefined, and a complaint, when it is not valid. */
export function parsePort(field: Field): PolicyPort | undefined {
  field.only('protocol', 'port', 'endPort');
  const protocol = field.child('protocol').choice(PROTOCOLS) ?? 'TCP';
  const portField = field.child('port');
  const port = portOrName(portField);
  const endField = field.child('endPort');
  const to = endField.integer(1, 65535);
  if (endField.present && typeof portField.value !== 'number') {
    return endField.complain(`needs a port that is a number, not ${describe(portField.value)}`);
  }
  // "If this field is not provided, this matches all port names and numbers."
  if (!portField.present) return { kind: 'range', protocol, from: 0, to: 65535 };
  if (port === undefined) return undefined;
  if (typeof port === 'string') return { kind: 'named', protocol, name: port };
  if (to !== undefined && to < port) return endField.complain(`must not be below port ${port}, not ${to}`);
  return { kind: 'range', protocol, from: port, to: to ?? port };
}
