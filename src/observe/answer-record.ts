/** An answer → the record that programs read: the verdict, each direction with its reason, rules and policies by name and line. */
import type { ObjectKey, Origin } from '../model/cluster.ts';
import { ruleOrigin } from './explanation.ts';
import type { Place } from './places.ts';
import type { Answer, Judgement, Reachability } from './reachability.ts';

type Where = Partial<Pick<Origin, 'file' | 'line'>>;

export interface AnswerRecord {
  readonly verdict: 'allow' | 'deny';
  readonly source: PlaceRecord;
  readonly destination: PlaceRecord;
  /** Absent when the source is no pod; `ingress` when the destination is none. */
  readonly egress?: JudgementRecord;
  readonly ingress?: JudgementRecord;
}

interface PlaceRecord {
  readonly kind: Place['kind'];
  readonly address: string;
  readonly pod?: ObjectKey;
  readonly node?: string;
}

interface JudgementRecord {
  readonly verdict: 'allow' | 'deny';
  readonly reason: Judgement['reason'];
  /** With the reason `rule`. */
  readonly rule?: { readonly policy: ObjectKey; readonly field: string } & Where;
  /** The policies that isolate the pod in this direction. */
  readonly isolatedBy: readonly ({ readonly policy: ObjectKey } & Where)[];
  /** With the reason `conflict`. */
  readonly conflict?: Judgement['conflict'];
}

export function answerRecord(reachability: Reachability, answer: Answer): AnswerRecord {
  const { egress, ingress } = answer;
  return {
    verdict: word(answer.allowed),
    source: placeRecord(answer.source, answer.sourceAddress),
    destination: placeRecord(answer.destination, answer.destinationAddress),
    ...(egress && { egress: judgementRecord(reachability, egress) }),
    ...(ingress && { ingress: judgementRecord(reachability, ingress) }),
  };
}

function placeRecord(place: Place, address: string): PlaceRecord {
  if (place.kind === 'outside') return { kind: 'outside', address };
  const { node, pod } =
    place.kind === 'pod' ? { node: place.pod.node, pod: place.key } : { node: place.node, pod: place.hostPod };
  return { kind: place.kind, address, ...(pod !== undefined && { pod }), ...(node !== undefined && { node }) };
}

function judgementRecord(reachability: Reachability, judgement: Judgement): JudgementRecord {
  const { allowed, reason, by, isolatedBy, conflict } = judgement;
  return {
    verdict: word(allowed),
    reason,
    ...(by && {
      rule: {
        policy: by.policy,
        field: `spec.${by.direction}[${by.index}]`,
        ...where(ruleOrigin(reachability, by)),
      },
    }),
    isolatedBy: isolatedBy.map((policy) => ({ policy, ...where(reachability.policies.get(policy)?.origin) })),
    ...(conflict && { conflict }),
  };
}

function where(origin: Origin | undefined): Where {
  return origin === undefined ? {} : { file: origin.file, line: origin.line };
}

function word(allowed: boolean): 'allow' | 'deny' {
  return allowed ? 'allow' : 'deny';
}
