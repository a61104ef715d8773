/** An answer → what a person reads: the verdict first, then for each direction who decided, where it stands, and why. */
import { stringify } from 'yaml';
import type { Direction, ObjectKey, Origin } from '../model/cluster.ts';
import type { RuleRef } from '../model/compiled.ts';
import { additionsFor } from './addition.ts';
import type { Place } from './places.ts';
import type { Answer, Judgement, Reachability } from './reachability.ts';

/** How to make words stand out; both unchanged where there is no terminal. */
export interface Emphasis {
  readonly allowed: (text: string) => string;
  readonly denied: (text: string) => string;
}

const DIRECTIONS: readonly Direction[] = ['egress', 'ingress'];

/** Lines without the last one's end. */
export function explain(reachability: Reachability, answer: Answer, emphasis: Emphasis): string {
  const { allowed, source, destination, sourceAddress, destinationAddress } = answer;
  const verdict = allowed ? emphasis.allowed('allowed') : emphasis.denied('denied');
  const ends = `${endName(source, sourceAddress)} to ${endName(destination, destinationAddress)}`;
  const lines = [`${verdict}: ${ends} ${trafficText(answer)}`];
  lines.push(...DIRECTIONS.flatMap((direction) => directionText(reachability, answer, direction) ?? []));
  if (lines.length === 1) lines.push('neither end is a pod with a network of its own: no NetworkPolicy is asked');
  const additions = additionsFor(reachability, answer);
  if (additions.length > 0) {
    lines.push(
      '',
      answer.query.port === undefined
        ? 'the smallest addition that admits it; without ports it admits every protocol and port, for none can name ICMP:'
        : 'the smallest addition that admits it:',
      ...additions.map((one) => `---\n${stringify(one).trimEnd()}`),
    );
  }
  return lines.join('\n');
}

/** `file:line` of a rule; undefined when the objects come from no file. */
export function ruleOrigin(reachability: Reachability, { policy, direction, index }: RuleRef): Origin | undefined {
  const object = reachability.policies.get(policy);
  const line = object?.[direction][index]?.line;
  return object?.origin && { ...object.origin, ...(line !== undefined && { line }) };
}

/** Who decided in one direction, and why; undefined when its end is no pod. */
export function directionText(reachability: Reachability, answer: Answer, direction: Direction): string | undefined {
  const judgement = answer[direction];
  if (judgement === undefined) return undefined;
  const source = shortName(answer.source, answer.sourceAddress);
  const destination = shortName(answer.destination, answer.destinationAddress);
  const egress = direction === 'egress';
  const [subject, other] = egress ? [source, destination] : [destination, source];
  const verdict = judgement.allowed ? 'allowed' : 'denied';
  const why = reasonText(reachability, judgement, { subject, other, direction, traffic: trafficText(answer) });
  return `${verdict} at the ${egress ? 'source' : 'destination'}: ${why}`;
}

/** Who decided, in a few words. */
export function deciderText({ allowed, reason, by, isolatedBy }: Judgement): string {
  if (by !== undefined) return `admitted by ${ruleName(by)}`;
  if (reason === 'no rule') return `isolated by ${isolatedBy.join(', ')}`;
  return allowed ? reason : `denied, ${reason}`;
}

function ruleName({ policy, direction, index }: RuleRef): string {
  return `${policy} spec.${direction}[${index}]`;
}

function reasonText(
  reachability: Reachability,
  judgement: Judgement,
  about: { subject: string; other: string; direction: Direction; traffic: string },
): string {
  const { subject, other, direction, traffic } = about;
  switch (judgement.reason) {
    case 'self':
      return 'a pod always reaches itself';
    case 'own node':
      return `${other} is an address of the node that ${subject} runs on, and these always reach each other`;
    case 'not isolated':
      return `no NetworkPolicy isolates ${subject} for ${direction}`;
    case 'conflict':
      return `${judgement.conflict?.address} is claimed by ${judgement.conflict?.pods.join(' and ')} on one node: none of them may use the network`;
    case 'rule': {
      const by = judgement.by as RuleRef;
      const rule = `rule spec.${direction}[${by.index}]${originText(ruleOrigin(reachability, by))}`;
      return `NetworkPolicy ${by.policy}, ${rule}, admits ${direction === 'ingress' ? other : `${subject} to ${other}`} ${traffic}`;
    }
    case 'no rule': {
      const named = judgement.isolatedBy.map((key) => policyName(reachability, key)).join(', ');
      const rules = judgement.isolatedBy.length === 1 ? 'no rule of it' : 'no rule of these';
      const whom = direction === 'ingress' ? `admits ${other}` : `admits ${subject} to ${other}`;
      return `${subject} is isolated for ${direction} by NetworkPolicy ${named}, and ${rules} ${whom} ${traffic}`;
    }
  }
}

/** `shop/web (policies.yaml:12)`. */
export function policyName({ policies }: Reachability, key: ObjectKey): string {
  return `${key}${originText(policies.get(key)?.origin)}`;
}

export function originText(origin: Origin | undefined): string {
  return origin === undefined ? '' : ` (${origin.file}:${origin.line})`;
}

function endName(place: Place, address: string): string {
  if (place.kind === 'outside') return `${address} (outside the cluster)`;
  if (place.kind === 'pod') return `${place.key} (${address})`;
  const hostPod = place.hostPod === undefined ? '' : `${place.hostPod} on the network of `;
  return `${hostPod}node ${place.node} (${address})`;
}

function shortName(place: Place, address: string): string {
  if (place.kind === 'pod') return place.key;
  return place.kind === 'node' ? `${place.hostPod ?? `node ${place.node}`} (${address})` : address;
}

function trafficText({ query: { port, protocol } }: Answer): string {
  return port === undefined ? `by ${protocol}` : `on ${port}/${protocol}`;
}
