/** Namespaces, Nodes and Services to their slim forms. */
import { type Address, type Prefix, parsePrefix } from '../../model/address.ts';
import type { Namespace, Node, Service, ServicePort } from '../../model/cluster.ts';
import { type Draft, metadataOf, reportTo } from './draft.ts';
import { describe, type Field } from './field.ts';
import { addressOf } from './pod.ts';
import { PROTOCOLS } from './policy-rule.ts';
import { DNS_LABEL, isDnsLabel, labelsOf, portOrName } from './syntax.ts';

export function parseNamespace({ root, place }: Draft): Namespace {
  const { name, labels } = metadataOf(root, 'label');
  // "The label kubernetes.io/metadata.name is immutable, its value the namespace's name."
  return {
    kind: 'Namespace',
    name,
    labels: { ...labels, 'kubernetes.io/metadata.name': name },
    ...(place.origin && { origin: place.origin }),
  };
}

export function parseNode(draft: Draft): Node {
  const { root, place } = draft;
  const { name } = metadataOf(root);
  const spec = root.child('spec');
  const status = root.child('status').reportingTo(reportTo(draft.remarks));
  const prefixes = spec.child('podCIDRs').items();
  return {
    kind: 'Node',
    name,
    addresses: nodeAddresses(status),
    podPrefixes: (prefixes.length > 0 ? prefixes : [spec.child('podCIDR')]).flatMap(prefixesOf),
    ...(place.origin && { origin: place.origin }),
  };
}

/** Internal addresses first: pods on the host's network have these. Names of hosts are none. */
function nodeAddresses(status: Field): Address[] {
  const items = status.child('addresses').items();
  const ofType = (type: string): Address[] =>
    items
      .filter((item) => item.present && item.child('type').text() === type)
      .flatMap((item) => addressOf(item.child('address')) ?? []);
  return [...new Set([...ofType('InternalIP'), ...ofType('ExternalIP')])];
}

function prefixesOf(field: Field): Prefix[] {
  const text = field.text();
  if (text === undefined || text === '') return [];
  const prefix = parsePrefix(text) ?? field.complain(`must be a CIDR, not ${describe(text)}`);
  return prefix === undefined ? [] : [prefix];
}

export function parseService(draft: Draft): Service {
  const { root, place } = draft;
  const { name, namespace } = metadataOf(root, 'label');
  const spec = root.child('spec');
  const status = root.child('status').reportingTo(reportTo(draft.remarks));
  const selector = spec.child('selector');
  const ingress = status.child('loadBalancer').child('ingress').items();
  const external = [...spec.child('externalIPs').items(), ...ingress.map((item) => item.child('ip'))].flatMap(
    (field) => addressOf(field) ?? [],
  );
  const addresses = [...clusterAddresses(spec).flatMap((field) => addressOf(field) ?? []), ...external];
  return {
    kind: 'Service',
    namespace,
    name,
    addresses: [...new Set(addresses)],
    ...(external.length > 0 && { externalAddresses: [...new Set(external)] }),
    ports: spec.child('ports').items().flatMap(servicePort),
    ...(selector.present && Object.keys(selector.value as object).length > 0 && { selector: labelsOf(selector) }),
    ...trafficPolicies(spec),
    ...(place.origin && { origin: place.origin }),
  };
}

/** "None" stands for a headless Service. */
function clusterAddresses(spec: Field): Field[] {
  const several = spec.child('clusterIPs').items();
  return (several.length > 0 ? several : [spec.child('clusterIP')]).filter((field) => field.value !== 'None');
}

const LONGEST_AFFINITY = 86_400;
/** "Default value is 10800 (for 3 hours)." */
const USUAL_AFFINITY = 10_800;

function trafficPolicies(
  spec: Field,
): Pick<Service, 'affinitySeconds' | 'externalTrafficPolicy' | 'internalTrafficPolicy'> {
  const affinity = spec.child('sessionAffinity').choice(['None', 'ClientIP']);
  const timeout = spec.child('sessionAffinityConfig').child('clientIP').child('timeoutSeconds');
  const seconds = timeout.integer(1, LONGEST_AFFINITY) ?? USUAL_AFFINITY;
  const isLocal = (field: string) => spec.child(field).choice(['Cluster', 'Local']) === 'Local';
  return {
    ...(affinity === 'ClientIP' && { affinitySeconds: seconds }),
    ...(isLocal('externalTrafficPolicy') && { externalTrafficPolicy: 'Local' }),
    ...(isLocal('internalTrafficPolicy') && { internalTrafficPolicy: 'Local' }),
  };
}

function servicePort(item: Field): ServicePort[] {
  const portField = item.child('port');
  const port = portField.integer(1, 65535);
  if (!portField.present) portField.complain('a port is required');
  const name = item.child('name').textLike((text) => text === '' || isDnsLabel(text), DNS_LABEL);
  const protocol = item.child('protocol').choice(PROTOCOLS) ?? 'TCP';
  const target = item.child('targetPort');
  // 0 is what an unset number looks like from some writers.
  const targetPort = target.value === 0 || target.value === '' ? undefined : portOrName(target);
  const nodePort = item.child('nodePort').integer(0, 65535);
  if (port === undefined) return [];
  return [{ ...(name && { name }), protocol, port, targetPort: targetPort ?? port, ...(nodePort && { nodePort }) }];
}
