/** What is in force and a wanted state -> where rules, sets and senders would be others, in the API objects' own names; nothing is written. */
import type { Address, Family } from '../../model/address.ts';
import type { ObjectKey } from '../../model/cluster.ts';
import type { CompiledState, RulesetId } from '../../model/compiled.ts';
import type { Difference } from '../../model/observation.ts';
import { netlink } from '../../native.ts';
import type { Applied, Dataplane, DesiredState } from '../contract.ts';
import { missingBridgeSysctls } from './bridge-sysctls.ts';
import { DEFAULT_MARK_FIELD, fieldMask, type MarkField } from './mark-field.ts';
import { type Hook, rulesetChain, type Side } from './names.ts';
import { boundBefore, lookAround, type OpenOptions, type Surroundings } from './open.ts';
import { guardedLinks, PortGuard } from './port-guard.ts';
import { holdsPods, takeSnapshot } from './snapshot.ts';
import { type Compared, differencesOf, expectedOf, WHOLE } from './verify.ts';
import { wantedOf } from './wanted.ts';

export interface IpsetDryRunReport {
  readonly variant: string;
  readonly reason: string;
  /** Families in which rules of ours are in force. */
  readonly inForce: readonly Family[];
  /** Chains, sets and tables that would be others, with how much of each. */
  readonly places: readonly PlaceDifference[];
  /** Pods that would not be protected, and why. */
  readonly unprotected: readonly { readonly reason: string; readonly pods: readonly ObjectKey[] }[];
}

export interface PlaceDifference {
  readonly place: string;
  /** It would come, with what in it, or go. */
  readonly whole?: { readonly comes: string } | 'goes';
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
}

export class IpsetDryRun implements Dataplane {
  readonly kind = 'ipset';
  readonly #options: OpenOptions;
  readonly #surroundings: Surroundings;
  readonly #bound: ReadonlyMap<number, readonly Address[]>;
  readonly #report = Promise.withResolvers<IpsetDryRunReport>();

  private constructor(
    options: OpenOptions,
    surroundings: Surroundings,
    bound: ReadonlyMap<number, readonly Address[]>,
  ) {
    this.#options = options;
    this.#surroundings = surroundings;
    this.#bound = bound;
  }

  /** Locks nothing: an agent may run. */
  static async open(options: OpenOptions): Promise<IpsetDryRun> {
    const surroundings = await lookAround(options);
    return new IpsetDryRun(options, surroundings, await boundBefore(surroundings.chosen));
  }

  /** Of the first state that is applied. */
  get report(): Promise<IpsetDryRunReport> {
    return this.#report.promise;
  }

  inForce(): ReadonlyMap<number, readonly Address[]> {
    // Never undefined: nothing is begun before the whole state is known.
    return this.#bound;
  }

  async ready(): Promise<void> {}

  async apply(state: DesiredState): Promise<Applied> {
    try {
      this.#report.resolve(await this.#reportOn(state));
      return { generation: 0n, writes: 0, milliseconds: 0 };
    } catch (error) {
      this.#report.reject(error);
      throw error;
    }
  }

  guard(): void {}
  forget(): void {}
  close(): void {}

  async #reportOn(state: DesiredState): Promise<IpsetDryRunReport> {
    const { chosen, choice, families } = this.#surroundings;
    const { nflogGroup } = this.#options;
    const links = chosen.within(() => netlink.links());
    const bridged = new Set(links.flatMap(({ name, master }) => (master === undefined ? [] : [name])));
    const guard = await new PortGuard(chosen, nflogGroup).verify(guardedLinks(state, bridged));
    const rules = await Promise.all(families.map((family) => this.#familyReport(state, family)));
    const missing = chosen.within(() => missingBridgeSysctls(families));
    const pods = [...state.bindings.values()].flatMap((binding) => {
      return binding.kind === 'endpoint' && bridged.has(binding.link.name) ? [binding.pod] : [];
    });
    const exposed = missing.length > 0 && pods.length > 0 && !this.#options.setSysctls;
    return {
      variant: choice.variant,
      reason: choice.reason,
      inForce: rules.flatMap(({ family, inForce }) => (inForce ? [family] : [])),
      places: byPlace([...rules, guard].flatMap(({ differences }) => differences)),
      unprotected: exposed ? [{ reason: `${missing.join(' and ')} must be 1`, pods }] : [],
    };
  }

  async #familyReport(state: DesiredState, family: Family): Promise<Compared & { family: Family; inForce: boolean }> {
    const { chosen } = this.#surroundings;
    const { judgeOwnNode, nflogGroup, markField: field = DEFAULT_MARK_FIELD } = this.#options;
    const hooks: readonly Hook[] = judgeOwnNode ? ['FORWARD', 'INPUT'] : ['FORWARD'];
    const snapshot = await takeSnapshot(chosen, family);
    const side = snapshot.inForce ?? 'L';
    const [rules, sets] = await Promise.all([chosen.saveRules(family), chosen.saveSets()]);
    const numbers = numbersLike(rules, state.compiled, side, field);
    const wanted = wantedOf(state, numbers);
    const podsMet = holdsPods(sets, side, family);
    const options = { side, family, hooks, field, podsMet, ...(nflogGroup !== undefined && { nflogGroup }) };
    const compared = differencesOf(expectedOf(wanted, options), { rules, sets });
    return { ...compared, family, inForce: snapshot.inForce !== undefined && snapshot.hooks.size > 0 };
  }
}

/** Marks as they are in force: what they stand for matters, not which they are. */
function numbersLike(
  rules: string,
  { rulesets }: CompiledState,
  side: Side,
  field: MarkField,
): ReadonlyMap<RulesetId, number> {
  const inForce = new Map<string, number>();
  for (const [, mark = '', chain = ''] of rules.matchAll(/ --mark (0x[0-9a-f]+)\/0x[0-9a-f]+ -g (\S+)$/gm)) {
    inForce.set(chain, (Number(mark) & fieldMask(field)) >>> field.shift);
  }
  const numbers = new Map<RulesetId, number>();
  for (const id of rulesets.keys()) {
    const number = inForce.get(rulesetChain(side, id, 'request'));
    if (number !== undefined) numbers.set(id, number);
  }
  const taken = new Set(numbers.values());
  let next = 1;
  for (const id of rulesets.keys()) {
    if (numbers.has(id)) continue;
    while (taken.has(next)) next++;
    taken.add(next);
    numbers.set(id, next);
  }
  return numbers;
}

function byPlace(differences: readonly Difference[]): PlaceDifference[] {
  return [...Map.groupBy(differences, ({ place }) => place)].map(([place, own]) => ({
    place,
    ...wholeOf(own.find(({ key }) => key === WHOLE)),
    added: own.filter(({ found }) => found === undefined).length,
    changed: own.filter(({ wanted, found }) => wanted !== undefined && found !== undefined).length,
    removed: own.filter(({ wanted }) => wanted === undefined).length,
  }));
}

function wholeOf(difference: Difference | undefined): Pick<PlaceDifference, 'whole'> {
  if (difference === undefined) return {};
  return { whole: difference.wanted === undefined ? 'goes' : { comes: difference.wanted } };
}
