/** A Pod, or the template of pods in a workload, to its slim form. */
import { type Address, familyOf, parseAddress } from '../../model/address.ts';
import type { ContainerPort, Pod } from '../../model/cluster.ts';
import { instanceOf } from '../../model/instance.ts';
import { type Draft, metadataOf, reportTo } from './draft.ts';
import { describe, type Field } from './field.ts';
import { PROTOCOLS } from './policy-rule.ts';
import { DNS_SUBDOMAIN, isDnsSubdomain, isPortName, PORT_NAME } from './syntax.ts';

export interface ParsedPod {
  readonly object: Pod;
  /** The controller that made the pod, as `KIND NAMESPACE/NAME`. */
  readonly owner?: string;
  /** The object says that the pod has no usable address, so none may be made up for it. */
  readonly unaddressed: boolean;
}

/** What a template gives to each of its pods. */
export type PodSpec = Pick<Pod, 'node' | 'hostNetwork' | 'ports'>;

export function parsePod(draft: Draft): ParsedPod {
  const { root, place } = draft;
  const { owner, ...names } = metadataOf(root);
  // What a kubelet reports is left out where it is not valid: the pod runs, and is isolated, all the same.
  const status = root.child('status').reportingTo(reportTo(draft.remarks));
  const phase = status.child('phase').text();
  const finished = phase === 'Succeeded' || phase === 'Failed';
  const { addresses, faulty } = podAddresses(status);
  const spec = parsePodSpec(root.child('spec'));
  const uid = root.child('metadata').child('uid').value;
  const object: Pod = {
    kind: 'Pod',
    namespace: names.namespace,
    name: names.name,
    labels: names.labels,
    ...spec,
    addresses,
    finished,
    ...(spec.node !== undefined && typeof uid === 'string' && { instance: instanceOf(uid) }),
    ...(place.origin && { origin: place.origin }),
  };
  const unaddressed = addresses.length === 0 && (faulty || finished || phase === 'Pending');
  return { object, unaddressed, ...(owner && { owner }) };
}

export function parsePodSpec(spec: Field): PodSpec {
  const node = spec.child('nodeName').textLike((text) => text === '' || isDnsSubdomain(text), DNS_SUBDOMAIN);
  return {
    ...(node && { node }),
    hostNetwork: spec.child('hostNetwork').flag() ?? false,
    ports: [
      ...spec.child('containers').items().flatMap(containerPorts),
      // "Init containers with restartPolicy Always run beside the others for the whole life of the pod."
      ...spec
        .child('initContainers')
        .items()
        .flatMap((container) => (isSidecar(container) ? containerPorts(container) : [])),
    ],
  };
}

function isSidecar(container: Field): boolean {
  return container.present && container.child('restartPolicy').text() === 'Always';
}

function containerPorts(container: Field): ContainerPort[] {
  const ports: ContainerPort[] = [];
  for (const item of container.child('ports').items()) {
    const portField = item.child('containerPort');
    const port = portField.integer(1, 65535);
    if (!portField.present) portField.complain('a port is required');
    const name = item.child('name').textLike((text) => text === '' || isPortName(text), PORT_NAME);
    const protocol = item.child('protocol').choice(PROTOCOLS) ?? 'TCP';
    if (port !== undefined) ports.push({ ...(name && { name }), protocol, port, ...hostPortOf(item) });
  }
  return ports;
}

/** 0 is what an unset number looks like from some writers. */
function hostPortOf(item: Field): Pick<ContainerPort, 'hostPort' | 'hostAddress'> {
  const hostPort = item.child('hostPort').integer(0, 65535);
  if (!hostPort) return {};
  const hostAddress = addressOf(item.child('hostIP'));
  // "0.0.0.0" and "::" stand for all, as no address does.
  const unspecified = hostAddress === undefined || hostAddress === '0.0.0.0' || hostAddress === '::';
  return { hostPort, ...(!unspecified && { hostAddress }) };
}

/** `podIPs`, else `podIP`; at most one of a family. */
function podAddresses(status: Field): { addresses: Address[]; faulty: boolean } {
  const items = status
    .child('podIPs')
    .items()
    .map((item) => item.child('ip'));
  const fields = items.length > 0 ? items : [status.child('podIP')];
  const addresses: Address[] = [];
  let faulty = false;
  for (const field of fields) {
    const address = addressOf(field);
    if (address === undefined) faulty ||= field.present && field.value !== '';
    else if (!addresses.some((other) => familyOf(other) === familyOf(address))) addresses.push(address);
    else field.complain(`a pod has at most one address of a family: ${address} is left out`);
  }
  return { addresses, faulty };
}

/** The address in a field; absent and empty give none, anything else that is none a complaint too. */
export function addressOf(field: Field): Address | undefined {
  const text = field.text();
  if (text === undefined || text === '') return undefined;
  return parseAddress(text) ?? field.complain(`must be an IP address, not ${describe(text)}`);
}
