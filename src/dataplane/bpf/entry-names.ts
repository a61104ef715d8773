/** Keys and values of the maps -> words for them, in the API objects' own names, for a person who asks what differs. */
import type { RuleRef } from '../../model/compiled.ts';
import type { DesiredState } from '../contract.ts';
import type { Abi, CopiedMap } from './abi.ts';
import type { CopyContent } from './adopted.ts';
import type { RuleNumbers } from './rule-numbers.ts';
import {
  type AdmittedRange,
  type EndpointRecord,
  type Extent,
  type IpcacheEntry,
  type PolicyKey,
  type Settings,
  type SlotEntry,
  splitPolicyKey,
} from './tables.ts';
import type { WantedContent } from './wanted-content.ts';

export interface EntryNamesParts {
  readonly abi: Abi;
  readonly state: DesiredState;
  readonly expected: WantedContent;
  readonly found: CopyContent;
  readonly ruleNumbers: RuleNumbers;
}

export class EntryNames {
  readonly #parts: EntryNamesParts;
  /** By number. */
  readonly #identities = new Map<number, string>();
  readonly #rulesets = new Map<number, string>([[0, 'none']]);
  readonly #protocols: ReadonlyMap<number, string>;
  /** Rows that refer to an element of the `ports` map. */
  readonly #users = new Map<number, string>();

  constructor(parts: EntryNamesParts) {
    this.#parts = parts;
    const { expected, abi } = parts;
    const { PORTS_ANY, PORTS_OTHER } = abi.numbers;
    this.#protocols = new Map([...PROTOCOLS, [PORTS_ANY, 'every protocol'], [PORTS_OTHER, 'other protocols']]);
    for (const { number, sets } of expected.identities()) {
      this.#identities.set(number, sets.length === 0 ? 'in no set' : `in ${sets.map(({ id }) => id).join(', ')}`);
    }
    for (const id of expected.rows.ids()) {
      const { number, ruleset } = expected.rows.get(id) as NonNullable<ReturnType<typeof expected.rows.get>>;
      this.#rulesets.set(number, `${ruleset.policies.join(', ')} (${ruleset.direction})`);
    }
    for (const [key, { first, count }] of expected.tables.policy.wanted) {
      for (let at = first; at < first + count; at++) if (!this.#users.has(at)) this.#users.set(at, this.#row(key));
    }
  }

  key(map: CopiedMap, key: unknown): string {
    switch (map) {
      case 'settings':
        return 'settings';
      case 'slots':
      case 'slots_beyond':
        return this.#interface(key as number);
      case 'endpoints':
        return this.#endpoint(key as number);
      case 'policy':
        return this.#row(key as PolicyKey);
      case 'ports':
        return `range ${key}, of ${this.#users.get(key as number) ?? 'nobody'}`;
      default:
        return String(key);
    }
  }

  /** @param side where what it refers to is looked up */
  value(map: CopiedMap, value: unknown, side: 'wanted' | 'found'): string {
    switch (map) {
      case 'settings': {
        const { pending, judgeOwnNode } = value as Settings;
        return `pending ${pending}, own node ${judgeOwnNode ? 'judged' : 'always reached'}`;
      }
      case 'slots':
      case 'slots_beyond': {
        const { slot, pending } = value as SlotEntry;
        return slot === 0 ? pending : `slot ${slot}`;
      }
      case 'endpoints':
        return this.#record(value as EndpointRecord);
      case 'policy':
        return this.#extent(value as Extent, side);
      case 'ports':
        return this.#range(value as AdmittedRange);
      case 'ipcache4':
      case 'ipcache6': {
        const { identity, ownNode } = value as IpcacheEntry;
        return `${this.#identity(identity)}${ownNode ? ', the node itself' : ''}`;
      }
      default:
        return this.#identity(value as number);
    }
  }

  #interface(ifindex: number): string {
    const name = this.#parts.state.bindings.get(ifindex)?.link.name;
    return name === undefined ? `interface ${ifindex}` : `interface ${name} (${ifindex})`;
  }

  #endpoint(slot: number): string {
    const { expected, found, state } = this.#parts;
    const { ifindex } = expected.tables.endpoints.wanted.get(slot) ?? found.endpoints.get(slot) ?? { ifindex: 0 };
    const binding = state.bindings.get(ifindex);
    const pod = binding?.kind === 'endpoint' ? `endpoint ${binding.pod}` : 'endpoint';
    return `${pod} on ${binding?.link.name ?? `interface ${ifindex}`} (slot ${slot})`;
  }

  #record({ address4, address6, linkLocal6, identity4, identity6, ...record }: EndpointRecord): string {
    const address = (text: string | undefined, identity: number) => {
      return text === undefined ? [] : [`${text} ${this.#identity(identity)}`];
    };
    return [
      `interface ${record.ifindex}`,
      ...address(address4, identity4),
      ...address(address6, identity6),
      ...(linkLocal6 === undefined ? [] : [linkLocal6]),
      `ingress ${this.#ruleset(record.ingress)}`,
      `egress ${this.#ruleset(record.egress)}`,
    ].join('; ');
  }

  #row(key: PolicyKey): string {
    const { ruleset, identity } = splitPolicyKey(key);
    const { IDENTITY_WORLD } = this.#parts.abi.numbers;
    const whom = identity === IDENTITY_WORLD ? 'anyone' : `addresses ${this.#identity(identity)}`;
    return `${this.#ruleset(ruleset)} for ${whom}`;
  }

  #extent({ first, count }: Extent, side: 'wanted' | 'found'): string {
    const { expected, found } = this.#parts;
    const ports = side === 'wanted' ? expected.tables.ports.wanted : found.ports;
    const ranges = Array.from({ length: Math.min(count, RANGES_MAX) }, (_, at) => ports.get(first + at));
    const texts = ranges.map((range) => (range === undefined ? 'nothing' : this.#range(range)));
    const more = count > RANGES_MAX ? [`${count - RANGES_MAX} more`] : [];
    return `${[...texts, ...more].join(', ')} (ranges ${first} to ${first + count - 1})`;
  }

  #range({ protocol, from, to, rule }: AdmittedRange): string {
    const name = this.#protocols.get(protocol) ?? `protocol ${protocol}`;
    const ports = from === 0 && to === 65535 ? '' : from === to ? ` ${from}` : ` ${from}-${to}`;
    const ref = this.#parts.ruleNumbers.refOf(rule);
    return `${name}${ports} by ${ref === undefined ? `rule ${rule}` : ruleText(ref)}`;
  }

  #identity(number: number): string {
    return this.#identities.get(number) ?? `with identity ${number}, which nobody has`;
  }

  #ruleset(number: number): string {
    return this.#rulesets.get(number) ?? `ruleset ${number}, which nobody has`;
  }
}

/** Of one row; a name is not the place for thousands. */
const RANGES_MAX = 8;

const PROTOCOLS: readonly [number, string][] = [
  [6, 'TCP'],
  [17, 'UDP'],
  [132, 'SCTP'],
];

function ruleText({ policy, direction, index }: RuleRef): string {
  return `${policy} ${direction} ${index}`;
}
