/** What is in force and a wanted state -> what would be written, in the API objects' own names; nothing is. */
import type { Address } from '../../model/address.ts';
import type { Direction, ObjectKey } from '../../model/cluster.ts';
import type { Binding } from '../../model/links.ts';
import type { Applied, Dataplane, DesiredState, LinkRole } from '../contract.ts';
import type { CopiedMap } from './abi.ts';
import { BpfDataplane, type BpfDataplaneOptions } from './bpf-dataplane.ts';
import { readTable } from './copies.ts';
import { type DryKernel, openDryKernel } from './dry-kernel.ts';
import type { NativeKernelOptions } from './kernel-native.ts';
import type { Table } from './table.ts';
import { type EndpointRecord, makeTables, type PolicyKey, splitPolicyKey, type Tables } from './tables.ts';

export interface DryRunReport {
  /** Number of the state in force; 0: there is none that could be taken over. */
  readonly generation: number;
  readonly maps: readonly { readonly name: CopiedMap; readonly sets: number; readonly deletions: number }[];
  /** Programs of interfaces: given, swapped for this version's, taken off. */
  readonly programs: readonly { readonly step: 'attach' | 'swap' | 'detach'; readonly links: readonly NamedLink[] }[];
  /** Interfaces whose pod, addresses, rulesets or pending verdict would be others. */
  readonly interfaces: readonly (NamedLink & { readonly text: string })[];
  /** Rows (ruleset, identity) that would be written, by the policies that they come from. */
  readonly rulesets: readonly RulesetDifference[];
}

export interface NamedLink {
  readonly ifindex: number;
  readonly role: LinkRole;
  /** Absent for an interface that is gone. */
  readonly name?: string;
}

export interface RulesetDifference {
  readonly direction?: Direction;
  /** Empty for a ruleset that nobody would have any more: names are not kept with what is in force. */
  readonly policies: readonly ObjectKey[];
  readonly sets: number;
  readonly deletions: number;
}

/** Takes one state, says what it would take to put it in force, and keeps none of it. */
export class DryRun implements Dataplane {
  readonly kind = 'bpf';
  readonly #kernel: DryKernel;
  readonly #dataplane: BpfDataplane;
  /** For their codecs. */
  readonly #tables: Tables;
  readonly #report = Promise.withResolvers<DryRunReport>();

  /** Loads, pins, attaches and locks nothing: an agent may run on the directory. */
  constructor(options: NativeKernelOptions & BpfDataplaneOptions) {
    this.#kernel = openDryKernel(options);
    this.#dataplane = new BpfDataplane(this.#kernel, options);
    this.#tables = makeTables(this.#kernel.abi);
  }

  /** Of the first state that is applied. */
  get report(): Promise<DryRunReport> {
    return this.#report.promise;
  }

  inForce(): ReadonlyMap<number, readonly Address[]> {
    // Never undefined: nothing is begun before the whole state is known.
    return this.#dataplane.inForce() ?? new Map();
  }

  async ready(): Promise<void> {}

  async apply(state: DesiredState): Promise<Applied> {
    try {
      const before = this.#endpoints();
      const applied = await this.#dataplane.apply(state, undefined);
      await this.#dataplane.settled();
      this.#report.resolve(this.#reportOn(state, before));
      return applied;
    } catch (error) {
      this.#report.reject(error);
      throw error;
    }
  }

  guard(): void {}
  forget(): void {}

  close(): void {
    this.#dataplane.close();
  }

  /** Endpoints in force, by slot. */
  #endpoints(): Map<number, EndpointRecord> {
    return readTable(this.#kernel.map('endpoints', 0), this.#tables.endpoints);
  }

  #reportOn(state: DesiredState, before: ReadonlyMap<number, EndpointRecord>): DryRunReport {
    const { maps, attached, swapped, detached } = this.#kernel.recorded;
    const steps = [
      { step: 'attach', links: attached },
      { step: 'swap', links: swapped },
      { step: 'detach', links: detached },
    ] as const;
    const after = new Map(before);
    for (const [slot, record] of this.#sets(this.#tables.endpoints)) {
      if (record.ifindex === 0) after.delete(slot);
      else after.set(slot, record);
    }
    return {
      generation: Number(this.#kernel.generation.load()),
      maps: [...maps].map(([name, { sets, deletions }]) => ({ name, sets: sets.length, deletions: deletions.length })),
      programs: steps
        .filter(({ links }) => links.length > 0)
        .map(({ step, links }) => ({ step, links: links.map((link) => named(state, link)) })),
      interfaces: this.#interfaces(state, [before, after]),
      rulesets: this.#rulesets(state, after),
    };
  }

  #interfaces(
    state: DesiredState,
    [before, after]: readonly [ReadonlyMap<number, EndpointRecord>, ReadonlyMap<number, EndpointRecord>],
  ): DryRunReport['interfaces'] {
    const touched = new Set<number>();
    for (const table of [this.#tables.slots, this.#tables.slots_beyond]) {
      for (const [ifindex] of this.#sets(table)) touched.add(ifindex);
      for (const key of this.#deletions(table)) touched.add(key);
    }
    for (const [slot] of this.#sets(this.#tables.endpoints)) {
      for (const record of [before.get(slot), after.get(slot)]) if (record !== undefined) touched.add(record.ifindex);
    }
    return [...touched]
      .sort((a, b) => a - b)
      .map((ifindex) => ({ ...named(state, { ifindex, role: 'pod' }), text: textOf(state.bindings.get(ifindex)) }));
  }

  #rulesets({ bindings, compiled }: DesiredState, after: ReadonlyMap<number, EndpointRecord>): RulesetDifference[] {
    const names = new Map<number, { direction: Direction; policies: readonly ObjectKey[] }>();
    const records = new Map([...after.values()].map((record) => [record.ifindex, record]));
    for (const [ifindex, binding] of bindings) {
      const endpoint = binding.kind === 'endpoint' ? compiled.endpoints.get(binding.pod) : undefined;
      for (const direction of ['ingress', 'egress'] as const) {
        const ruleset = endpoint?.[direction] && compiled.rulesets.get(endpoint[direction]);
        const number = records.get(ifindex)?.[direction];
        if (ruleset && number !== undefined) names.set(number, { direction, policies: ruleset.policies });
      }
    }
    const rows = new Map<number, { sets: number; deletions: number }>();
    const count = (key: PolicyKey, what: 'sets' | 'deletions') => {
      const { ruleset } = splitPolicyKey(key);
      const row = rows.get(ruleset) ?? { sets: 0, deletions: 0 };
      row[what]++;
      rows.set(ruleset, row);
    };
    for (const [key] of this.#sets(this.#tables.policy)) count(key, 'sets');
    for (const key of this.#deletions(this.#tables.policy)) count(key, 'deletions');
    return [...rows].map(([number, row]) => ({ policies: [], ...names.get(number), ...row }));
  }

  #sets<K, V>({ codec }: Table<K, V>): [K, V][] {
    const { sets = [] } = this.#kernel.recorded.maps.get(codec.name) ?? {};
    return sets.map(([key, value]) => [codec.decodeKey(key), codec.decodeValue(value)]);
  }

  #deletions<K, V>({ codec }: Table<K, V>): K[] {
    const { deletions = [] } = this.#kernel.recorded.maps.get(codec.name) ?? {};
    return deletions.map((key) => codec.decodeKey(key));
  }
}

function named({ bindings, exits }: DesiredState, link: { ifindex: number; role: LinkRole }): NamedLink {
  const name = bindings.get(link.ifindex)?.link.name ?? exits.get(link.ifindex)?.name;
  return { ifindex: link.ifindex, role: link.role, ...(name !== undefined && { name }) };
}

function textOf(binding: Binding | undefined): string {
  if (binding === undefined) return 'forgotten: no interface of a pod any more';
  return binding.kind === 'endpoint' ? `enforced for ${binding.pod}` : `${binding.verdict}: ${binding.reason}`;
}
