/**
 * One record for each rule of the compiled state, whichever rulesets have it: what stands for it in the maps. The compiler
 * keeps a rule that stays as the same object, so whatever was worked out of it serves the next state, and every other pod.
 */
import type { CompiledRule, PortRange } from '../../model/compiled.ts';
import { flattenPorts, type PortProtocols } from './flatten-ports.ts';
import { contentOf, type PortContent } from './port-sets.ts';
import type { RuleNumbers } from './rule-numbers.ts';
import type { SetRecord, SetRecords } from './set-records.ts';

export interface RuleRecord {
  readonly number: number;
  readonly ports: readonly PortRange[] | 'every';
  readonly peers: readonly SetRecord[] | 'anyone';
}

interface Used extends RuleRecord {
  readonly rule: CompiledRule;
  /** Rulesets that have it. */
  uses: number;
  /** Its ports where no other rule admits the peer, which is nearly everywhere; worked out when asked. */
  alone: PortContent | undefined;
}

/** Of those that it admits; none where it admits anyone. */
export function setsOf({ peers }: RuleRecord): readonly SetRecord[] {
  return peers === 'anyone' ? [] : peers;
}

export interface RuleRecordsParts {
  readonly ruleNumbers: RuleNumbers;
  readonly setRecords: SetRecords;
  readonly protocols: PortProtocols;
}

export class RuleRecords {
  readonly #parts: RuleRecordsParts;
  readonly #records = new Map<CompiledRule, Used>();

  constructor(parts: RuleRecordsParts) {
    this.#parts = parts;
  }

  /** Each `take` needs one `release`; whoever has taken it keeps its sets' records from being swept. */
  take(rule: CompiledRule): RuleRecord {
    let record = this.#records.get(rule);
    if (record === undefined) {
      const { ruleNumbers, setRecords } = this.#parts;
      const peers = rule.peers === 'anyone' ? rule.peers : rule.peers.map((id) => setRecords.of(id));
      record = { rule, number: ruleNumbers.take(rule.ref), ports: rule.ports, peers, uses: 0, alone: undefined };
      this.#records.set(rule, record);
      for (const set of setsOf(record)) set.rules.add(record);
    }
    record.uses++;
    return record;
  }

  release(released: RuleRecord): void {
    const record = released as Used;
    if (--record.uses > 0) return;
    this.#records.delete(record.rule);
    for (const set of setsOf(record)) set.rules.delete(record);
    this.#parts.ruleNumbers.release(record.rule.ref);
  }

  /** What rules in this order admit together. */
  portsOf(records: readonly RuleRecord[]): PortContent {
    const [first] = records;
    if (first === undefined || records.length > 1) return contentOf(flattenPorts(records, this.#parts.protocols));
    const used = first as Used;
    used.alone ??= contentOf(flattenPorts(records, this.#parts.protocols));
    return used.alone;
  }
}
