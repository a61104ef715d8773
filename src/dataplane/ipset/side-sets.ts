/**
 * The sets of one side in one family, and the dispatch's maps: they follow the wanted state and write down, as lines for
 * `ipset restore`, what changes. A set that goes stays until it is cleared away: rules that nobody comes to may name it.
 */
import { type Address, type Family, familyOf } from '../../model/address.ts';
import type { Direction, ObjectKey } from '../../model/cluster.ts';
import type { CompiledState, IpSet, RulesetId, SetId } from '../../model/compiled.ts';
import { CapacityError, type Hint } from '../contract.ts';
import { blockMembers, needsSet } from './block-members.ts';
import { type MarkField, markText } from './mark-field.ts';
import { mapName, type Side, setName } from './names.ts';
import type { Script } from './script.ts';

export interface Wanted {
  readonly state: CompiledState;
  /** Of every ruleset. */
  readonly numbers: ReadonlyMap<RulesetId, number>;
  /** Addresses beside those of the pods' records, by pod. */
  readonly linkLocal: ReadonlyMap<ObjectKey, readonly Address[]>;
}

export interface SetsOptions {
  readonly side: Side;
  readonly family: Family;
  readonly field: MarkField;
  /** There are sets of pods although none has a member of this family: some had one. */
  readonly podsMet?: boolean;
}

type Lines = Pick<Script, 'sets' | 'members' | 'removals'>;

/** Only a limit: the kernel's tables grow with what is in them. */
const MOST_MEMBERS = 4_194_304;
const NO_SETS: ReadonlySet<SetId> = new Set();
const DIRECTIONS = ['egress', 'ingress'] as const;

export class SideSets {
  readonly #options: SetsOptions;
  /** With their numbers of members. */
  readonly #sets = new Map<SetId, number>();
  /** Those that no rule of a ruleset names any more; their members stay as they were. */
  readonly #retired = new Map<SetId, number>();
  /** The state's own objects: it never changes one in place. */
  readonly #memberships = new Map<Address, ReadonlySet<SetId>>();
  readonly #maps: Record<Direction, Map<Address, number>> = { ingress: new Map(), egress: new Map() };
  #podsMet: boolean;

  constructor(options: SetsOptions) {
    this.#options = options;
    this.#podsMet = options.podsMet ?? false;
  }

  /**
   * Whether a set of pods has, or had, a member of this family. Until then there are none, nor rules that name them: on a
   * node whose cluster has one family alone that is half of everything. From then on they stay, so that a pod that
   * comes and goes costs no more than itself.
   */
  get podsMet(): boolean {
    return this.#podsMet;
  }

  /** Names of those that are there for rules that nobody comes to. */
  get retired(): ReadonlySet<string> {
    return new Set([...this.#retired.keys()].map((id) => this.#nameOf(id)));
  }

  get hasRetired(): boolean {
    return this.#retired.size > 0;
  }

  /** Names of all sets with their numbers of members. */
  sizes(): Map<string, number> {
    const { side, family } = this.#options;
    const sizes = new Map([...this.#retired, ...this.#sets].map(([id, members]) => [this.#nameOf(id), members]));
    for (const direction of DIRECTIONS) sizes.set(mapName(side, family, direction), this.#maps[direction].size);
    return sizes;
  }

  begin({ sets }: Lines): void {
    const { side, family } = this.#options;
    for (const direction of DIRECTIONS) {
      sets.push(`create ${mapName(side, family, direction)} hash:ip ${this.#shape()} skbinfo`);
    }
  }

  /** To be asked before `update`. @returns whether this is the first state in which a set of pods has a member here */
  meetPods({ memberships }: CompiledState, changed: ReadonlySet<Address> | undefined): boolean {
    if (this.#podsMet) return false;
    for (const address of changed ?? memberships.keys()) {
      if (familyOf(address) !== this.#options.family || !memberships.has(address)) continue;
      this.#podsMet = true;
      return true;
    }
    return false;
  }

  /** @throws {CapacityError} */
  update(wanted: Wanted, hint: Hint, lines: Lines): void {
    this.#updateSets(wanted.state, hint?.sets, lines);
    this.#updateMembers(wanted.state, hint?.addresses, lines);
    for (const direction of DIRECTIONS) this.#updateMap(direction, wanted, lines);
  }

  /** Once no rule names them. */
  clear({ removals }: Lines): void {
    for (const id of this.#retired.keys()) removals.push(`destroy ${this.#nameOf(id)}`);
    this.#retired.clear();
  }

  #updateSets(state: CompiledState, changed: ReadonlySet<SetId> | undefined, lines: Lines): void {
    for (const id of changed ?? new Set([...this.#sets.keys(), ...state.sets.keys()])) {
      const set = state.sets.get(id);
      const members = this.#sets.get(id);
      if (set === undefined && members !== undefined) {
        this.#sets.delete(id);
        this.#retired.set(id, members);
      } else if (set !== undefined && members === undefined && this.#isHeld(set)) {
        if (this.#retired.has(id)) this.#takeBack(set, lines);
        else this.#create(set, lines);
      }
    }
  }

  #isHeld(set: IpSet): boolean {
    if (set.kind !== 'ipBlock') return this.#podsMet;
    return familyOf(set.cidr) === this.#options.family && needsSet(set);
  }

  #create(set: IpSet, { sets }: Lines): void {
    const name = this.#nameOf(set.id);
    const type = set.kind === 'ipBlock' ? 'hash:net' : 'hash:ip';
    sets.push(`create ${name} ${type} ${this.#shape()}`);
    const members = set.kind === 'ipBlock' ? blockMembers(set) : [];
    for (const { prefix, nomatch } of members) sets.push(`add ${name} ${prefix}${nomatch ? ' nomatch' : ''}`);
    this.#sets.set(set.id, members.length);
  }

  /** A block's id says what is in it; pods have come and gone. */
  #takeBack({ id, kind }: IpSet, { members }: Lines): void {
    const known = this.#retired.get(id) ?? 0;
    this.#retired.delete(id);
    this.#sets.set(id, kind === 'ipBlock' ? known : 0);
    if (kind !== 'ipBlock') members.push(`flush ${this.#nameOf(id)}`);
  }

  #updateMembers(state: CompiledState, changed: ReadonlySet<Address> | undefined, lines: Lines): void {
    for (const address of changed ?? new Set([...this.#memberships.keys(), ...state.memberships.keys()])) {
      if (familyOf(address) !== this.#options.family) continue;
      const before = this.#memberships.get(address) ?? NO_SETS;
      const after = state.memberships.get(address) ?? NO_SETS;
      if (before === after) continue;
      for (const id of after) if (!before.has(id)) this.#changeMember('add', id, address, lines);
      for (const id of before) if (!after.has(id)) this.#changeMember('del', id, address, lines);
      if (after.size === 0) this.#memberships.delete(address);
      else this.#memberships.set(address, after);
    }
  }

  /** A set that went keeps its members. */
  #changeMember(change: 'add' | 'del', id: SetId, address: Address, lines: Lines): void {
    const before = this.#sets.get(id);
    if (before === undefined) return;
    const members = before + (change === 'add' ? 1 : -1);
    if (members > MOST_MEMBERS) throw new CapacityError(`set ${id}`, members, MOST_MEMBERS);
    this.#sets.set(id, members);
    lines.members.push(`${change} ${this.#nameOf(id)} ${address}`);
  }

  /** Local pods are few, so they are compared whole. */
  #updateMap(direction: Direction, { state, numbers, linkLocal }: Wanted, { members }: Lines): void {
    const { side, family, field } = this.#options;
    const name = mapName(side, family, direction);
    const known = this.#maps[direction];
    const wanted = new Map<Address, number>();
    for (const endpoint of state.endpoints.values()) {
      const id = endpoint[direction];
      if (id === undefined) continue;
      for (const address of [...endpoint.addresses, ...(linkLocal.get(endpoint.pod) ?? [])]) {
        if (familyOf(address) === family) wanted.set(address, numbers.get(id) as number);
      }
    }
    for (const address of known.keys()) if (!wanted.has(address)) members.push(`del ${name} ${address}`);
    for (const [address, number] of wanted) {
      if (known.get(address) === number) continue;
      members.push(`add -exist ${name} ${address} skbmark ${markText(field, number)}`);
    }
    this.#maps[direction] = wanted;
  }

  #nameOf(id: SetId): string {
    return setName(this.#options.side, this.#options.family, id);
  }

  #shape(): string {
    return `family ${this.#options.family === 4 ? 'inet' : 'inet6'} hashsize 64 maxelem ${MOST_MEMBERS}`;
  }
}
