/**
 * The names of a lab's network namespaces and interfaces, made from what they stand for, and read back from what a
 * crashed lab has left behind. `_` is in no Kubernetes name, so that no two places share a name.
 */
import { createHash } from 'node:crypto';
import type { ObjectKey } from '../../model/cluster.ts';

/** `4711` or `4711b`: the process that holds the lab, and which of its labs. */
export type LabId = string & { readonly __labId: unique symbol };

/** A file name has at most 255 bytes; a pod's name alone may have 253. */
const LONGEST = 200;

export function labIdOf(pid: number, nth: number): LabId {
  return `${pid}${nth === 0 ? '' : nthLetters(nth)}` as LabId;
}

/** The process that made a lab. */
export function pidOf(lab: LabId): number {
  return Number.parseInt(lab, 10);
}

/** `slv-4711_wire`: the bridge that joins the nodes. */
export function wireNamespace(lab: LabId): string {
  return `slv-${lab}_wire`;
}

/** `slv-4711_outside`: everything that is not of the cluster. */
export function outsideNamespace(lab: LabId): string {
  return `slv-${lab}_outside`;
}

/** `slv-4711-node1` */
export function nodeNamespace(lab: LabId, node: string): string {
  return fitted(`slv-${lab}-${node}`);
}

/** `slv-4711-node1_shop_web` */
export function podNamespace(lab: LabId, node: string, pod: ObjectKey): string {
  return fitted(`slv-${lab}-${node}_${pod.replace('/', '_')}`);
}

/** The lab that a network namespace belongs to; undefined for those of others. */
export function labOf(namespace: string): LabId | undefined {
  return /^slv-([1-9]\d*[a-z]*)[-_]/.exec(namespace)?.[1] as LabId | undefined;
}

/** `veth1a2b3c4d`: an interface's name has at most 15 characters. */
export function interfaceName(prefix: string, place: string): string {
  return `${prefix}${hash(place).slice(0, 8)}`;
}

/** The host's end of the veth of a pod, by the pod's network namespace. */
export function podInterface(namespace: string): string {
  return interfaceName('veth', namespace);
}

/** A locally administered address, always the same for the same place. */
export function macOf(place: string): string {
  return `0a:58:${hash(`mac ${place}`)
    .slice(0, 8)
    .replace(/..(?=.)/g, '$&:')}`;
}

function fitted(name: string): string {
  return name.length <= LONGEST ? name : `${name.slice(0, LONGEST - 13)}+${hash(name).slice(0, 12)}`;
}

/** b, c ... z, ba, bb ...: the first lab of a process has none. */
function nthLetters(nth: number): string {
  const letters = nth.toString(26);
  return [...letters].map((digit) => String.fromCharCode(97 + Number.parseInt(digit, 26))).join('');
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
