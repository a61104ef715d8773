/** Records of the ring buffer and of the counters -> what happened, in the API objects' own names. */
import { type Address, addressOf } from '../../model/address.ts';
import type { Direction } from '../../model/cluster.ts';
import type { Hook, VerdictCount, VerdictEvent, VerdictReason } from '../../model/verdict-event.ts';
import type { Abi, HookName, ReasonName } from './abi.ts';
import type { Names } from './names.ts';
import type { RuleNumbers } from './rule-numbers.ts';
import type { FieldValue } from './struct-codec.ts';
import { u32Of } from './tables.ts';

type Kebab<S extends string> = S extends `${infer A}_${infer B}` ? `${Lowercase<A>}-${Kebab<B>}` : Lowercase<S>;
type Tail<S extends string, P extends string> = S extends `${P}_${infer R}` ? Kebab<R> : never;
// The words that every data plane uses are those of the ABI; when one side has another, this no longer compiles.
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
export const SAME_WORDS: Same<VerdictReason, Tail<ReasonName, 'REASON'>> & Same<Hook, Tail<HookName, 'HOOK'>> = true;

/** What the packet path had no room for, since the maps were made; names of enum loss. */
export interface Losses {
  readonly event: bigint;
  readonly limited: bigint;
  readonly counter: bigint;
  readonly flow: bigint;
  readonly fragment: bigint;
}

export interface EventDecoderParts {
  readonly abi: Abi;
  readonly names: Names;
  readonly ruleNumbers: RuleNumbers;
}

export class EventDecoder {
  readonly #parts: EventDecoderParts;
  readonly #reasons: ReadonlyMap<number, VerdictReason>;
  readonly #hooks: ReadonlyMap<number, Hook>;

  constructor(parts: EventDecoderParts) {
    this.#parts = parts;
    const { numbers } = parts.abi;
    this.#reasons = namesOf(numbers, 'REASON_', ['REASON_ALLOW_MAX']) as Map<number, VerdictReason>;
    this.#hooks = namesOf(numbers, 'HOOK_', []) as Map<number, Hook>;
  }

  event(bytes: Uint8Array): VerdictEvent {
    const { abi, names, ruleNumbers } = this.#parts;
    const record = abi.codecs.event.decode(bytes);
    const generation = record.generation as bigint;
    const ifindex = Number(record.ifindex);
    const pod = names.pods.at(generation, ifindex);
    const rule = record.rule === 0 ? undefined : ruleNumbers.refOf(Number(record.rule));
    const source = addressIn(record.source, record.family);
    const destination = addressIn(record.destination, record.family);
    return {
      time: record.time as bigint,
      generation,
      verdict: record.verdict === abi.numbers.VERDICT_ALLOW ? 'allow' : 'deny',
      reason: this.#reason(record.reason),
      direction: this.#direction(record.direction),
      hook: this.#hooks.get(Number(record.hook)) as Hook,
      ifindex,
      ...(pod !== undefined && { pod }),
      ...(source !== undefined && { source }),
      ...(destination !== undefined && { destination }),
      sourcePort: Number(record.source_port),
      destinationPort: Number(record.destination_port),
      ethertype: Number(record.ethertype),
      protocol: Number(record.protocol),
      length: Number(record.length),
      ...(rule !== undefined && { rule }),
      policies: names.policies.at(generation, Number(record.ruleset)) ?? [],
    };
  }

  /** One row of the counters; `values` holds so many of struct counter, which add up to it. */
  count(keyBytes: Uint8Array, values: Uint8Array, generation: bigint): VerdictCount {
    const { abi, names, ruleNumbers } = this.#parts;
    const key = abi.codecs.counter_key.decode(keyBytes);
    const reason = this.#reason(key.reason);
    const ifindex = Number(key.ifindex);
    const pod = names.pods.at(generation, ifindex);
    const rule = reason === 'allow-rule' ? ruleNumbers.refOf(Number(key.rule)) : undefined;
    const policies = reason === 'drop-policy' ? names.policies.at(generation, Number(key.rule)) : undefined;
    let packets = 0n;
    let bytes = 0n;
    const step = Math.ceil(abi.codecs.counter.size / 8) * 8;
    for (let at = 0; at + step <= values.length; at += step) {
      const one = abi.codecs.counter.decode(values.subarray(at, at + step));
      packets += one.packets as bigint;
      bytes += one.bytes as bigint;
    }
    return {
      ifindex,
      ...(pod !== undefined && { pod }),
      direction: this.#direction(key.direction),
      reason,
      ...(rule !== undefined && { rule }),
      policies: policies ?? [],
      packets,
      bytes,
    };
  }

  /** The elements of the per-CPU map `losses`. */
  losses(entries: Iterable<readonly [Uint8Array, Uint8Array]>): Losses {
    const { numbers } = this.#parts.abi;
    const sums = new Map<number, bigint>();
    for (const [key, values] of entries) {
      let sum = 0n;
      for (const one of new BigUint64Array(Uint8Array.from(values).buffer)) sum += one;
      sums.set(u32Of(key), sum);
    }
    const of = (index: number) => sums.get(index) ?? 0n;
    return {
      event: of(numbers.LOSS_EVENT),
      limited: of(numbers.LOSS_LIMITED),
      counter: of(numbers.LOSS_COUNTER),
      flow: of(numbers.LOSS_FLOW),
      fragment: of(numbers.LOSS_FRAGMENT),
    };
  }

  #reason(value: FieldValue): VerdictReason {
    return this.#reasons.get(Number(value)) as VerdictReason;
  }

  #direction(value: FieldValue): Direction {
    return value === this.#parts.abi.numbers.DIRECTION_INGRESS ? 'ingress' : 'egress';
  }
}

/** Numbers of the enumerators with a prefix, with the rest of their names in kebab case. */
function namesOf(
  numbers: Readonly<Record<string, number>>,
  prefix: string,
  but: readonly string[],
): Map<number, string> {
  const names = new Map<number, string>();
  for (const [name, number] of Object.entries(numbers)) {
    if (!name.startsWith(prefix) || but.includes(name)) continue;
    names.set(number, name.slice(prefix.length).toLowerCase().replaceAll('_', '-'));
  }
  return names;
}

function addressIn(bytes: FieldValue, family: FieldValue): Address | undefined {
  if (family === 4) return addressOf((bytes as Uint8Array).subarray(0, 4));
  return family === 6 ? addressOf(bytes as Uint8Array) : undefined;
}
