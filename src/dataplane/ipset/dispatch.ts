/**
 * The way of a packet on one side: address -> mark by one look-up in a set, mark -> ruleset by jumps. The sets grow with
 * the pods, the jumps only with the distinct rulesets of this node, and packets of pods under no policy take none of them.
 *
 *   FWD ─ look up source ──▶ OUT ─▶ ruleset (egress) ─┐      no mark: not isolated in that direction
 *       ◀──────────────────────────────────────────────┘ admitted
 *       ─ look up destination ─▶ IN ─▶ ruleset (ingress) ─▶ admitted: to whatever others' rules say
 *
 * A reply takes the same way with its ends exchanged, by BACK: so a connection that the policy no longer admits is over
 * for both sides at once, also where only the answering side sends.
 */
import type { Family } from '../../model/address.ts';
import type { Direction } from '../../model/cluster.ts';
import type { RulesetId } from '../../model/compiled.ts';
import { fieldMask, type MarkField, markText } from './mark-field.ts';
import {
  type DispatchRole,
  dispatchRole,
  leafChain,
  mapName,
  rulesetChain,
  rulesetEnd,
  type Side,
  sideChain,
  type Way,
} from './names.ts';
import type { ChainRule } from './ruleset-chain.ts';

export type Chains = Map<string, readonly ChainRule[]>;

/** As many jumps as are tried one after the other; with more rulesets they stand in leaves, at most as many again before each. */
const LEAF_BITS = 4;

/** The chains that look addresses up; the same whatever the state. */
export function lookupChains(side: Side, family: Family, field: MarkField): Chains {
  const some = `-m mark ! --mark ${markText(field, 0)}`;
  // Ours alone reads the field, so it is clean before and after: no rule of others sees a number of ours.
  const clear = `-j MARK --set-xmark ${markText(field, 0)}`;
  const judge = (direction: Direction, way: Way) => [
    `-j SET --map-set ${mapName(side, family, direction)} ${endOf(direction, way)} --map-mark`,
    `${some} -j ${sideChain(side, dispatchRole(direction, way))}`,
    clear,
  ];
  const both = (way: Way) => [clear, ...judge('egress', way), ...judge('ingress', way)].map(plain);
  const toReplies = plain(`-m conntrack --ctstate ESTABLISHED --ctdir REPLY -g ${sideChain(side, 'BACK')}`);
  return new Map([
    [sideChain(side, 'FWD'), [toReplies, ...both('request')]],
    [sideChain(side, 'BACK'), both('reply')],
    [sideChain(side, 'OWN'), [clear, ...judge('egress', 'request')].map(plain)],
  ]);
}

/** Where a packet has the address of the pod that is judged in a direction. */
function endOf(direction: Direction, way: Way): 'src' | 'dst' {
  return (direction === 'egress') === (way === 'request') ? 'src' : 'dst';
}

export interface DispatchPlace {
  readonly side: Side;
  readonly direction: Direction;
  readonly way: Way;
}

type Numbers = ReadonlyMap<RulesetId, number>;

/** What leads a mark to its ruleset's chain. A mark that leads nowhere is dropped. */
export function dispatchChains({ side, direction, way }: DispatchPlace, numbers: Numbers, field: MarkField): Chains {
  const role = dispatchRole(direction, way);
  return leadingChains({ side, role, to: (id) => rulesetChain(side, id, way) }, numbers, field);
}

/** The same from chains that several rulesets share to the end of each; nothing where none has such. */
export function endChains({ side, direction, way }: DispatchPlace, numbers: Numbers, field: MarkField): Chains {
  if (numbers.size === 0) return new Map();
  const role = `${dispatchRole(direction, way)}END` as const;
  return leadingChains({ side, role, to: (id) => rulesetEnd(side, id, way) }, numbers, field);
}

interface Leading {
  readonly side: Side;
  readonly role: DispatchRole;
  readonly to: (id: RulesetId) => string;
}

function leadingChains({ side, role, to }: Leading, numbers: Numbers, field: MarkField): Chains {
  const jumps = [...numbers].sort(([, a], [, b]) => a - b);
  const jump = ([id, number]: [RulesetId, number]) => {
    return plain(`-m mark --mark ${markText(field, number)} -g ${to(id)}`);
  };
  const closed = plain('-j DROP');
  const root = sideChain(side, role);
  if (jumps.length <= 2 ** LEAF_BITS) return new Map([[root, [...jumps.map(jump), closed]]]);
  const leaves = Map.groupBy(jumps, ([, number]) => number >> LEAF_BITS);
  return new Map([
    [root, [...[...leaves.keys()].map((leaf) => toLeaf(side, role, leaf, field)), closed]],
    ...[...leaves].map(([leaf, members]): [string, ChainRule[]] => {
      return [leafChain(side, role, leaf), [...members.map(jump), closed]];
    }),
  ]);
}

function toLeaf(side: Side, role: DispatchRole, leaf: number, field: MarkField): ChainRule {
  const upperBits = (fieldMask(field) & ~((2 ** LEAF_BITS - 1) << field.shift)) >>> 0;
  return plain(`-m mark --mark ${markText(field, leaf << LEAF_BITS, upperBits)} -g ${leafChain(side, role, leaf)}`);
}

function plain(text: string): ChainRule {
  return { text };
}
