/** The names of our chains and sets: all begin with one prefix, so that ours are told from everybody else's by name alone. */
import { createHash } from 'node:crypto';
import type { Family } from '../../model/address.ts';
import type { Direction } from '../../model/cluster.ts';
import type { RulesetId, SetId } from '../../model/compiled.ts';

/** Everything that is read under a generation exists twice: one side is in force, the other is written. */
export type Side = 'L' | 'R';
export const SIDES: readonly Side[] = ['L', 'R'];

export function otherSide(side: Side): Side {
  return side === 'L' ? 'R' : 'L';
}

/** A chain's name has at most 28 characters. */
export const CHAIN_PREFIX = 'SELVEDGE-';
/** A set's name has at most 31 characters. */
export const SET_PREFIX = 'selvedge-';

/** The built-in chains of the mangle table that we hook into, each with the chain that its jump leads to. */
export const HOOKS = { FORWARD: `${CHAIN_PREFIX}FORWARD`, INPUT: `${CHAIN_PREFIX}INPUT` } as const;
export type Hook = keyof typeof HOOKS;

/** Which way a packet goes on its connection: a reply is judged as the request that it answers, its ends exchanged. */
export type Way = 'request' | 'reply';
export const WAYS: readonly Way[] = ['request', 'reply'];

/**
 * Judges what is forwarded (FWD, and BACK for replies), or what a pod sends to its own node (OWN); the others choose
 * the ruleset by its mark.
 */
export function sideChain(side: Side, role: 'FWD' | 'BACK' | 'OWN' | DispatchRole): string {
  return `${CHAIN_PREFIX}${side}-${role}`;
}

type JudgingRole = 'OUT' | 'IN' | 'OUTBACK' | 'INBACK';
/** The first choose the ruleset that judges; the others choose it again, for what its rules have not admitted. */
export type DispatchRole = JudgingRole | `${JudgingRole}END`;

export function dispatchRole(direction: Direction, way: Way): JudgingRole {
  const role = direction === 'egress' ? 'OUT' : 'IN';
  return way === 'request' ? role : `${role}BACK`;
}

/** A leaf of the dispatch where there are many rulesets. */
export function leafChain(side: Side, role: DispatchRole, leaf: number): string {
  return `${sideChain(side, role)}-${leaf}`;
}

export function rulesetChain(side: Side, id: RulesetId, way: Way): string {
  return `${CHAIN_PREFIX}${side}-${rulesetName(id)}${way === 'request' ? '' : 'B'}`;
}

/** What becomes of a packet that no rule of a ruleset with many of them admits. */
export function rulesetEnd(side: Side, id: RulesetId, way: Way): string {
  return `${CHAIN_PREFIX}${side}-E${rulesetName(id)}${way === 'request' ? '' : 'B'}`;
}

/** A part of the rules of whoever has these: rulesets that differ in few rules share the others' chains. */
export function partChain(side: Side, rules: string): string {
  return `${CHAIN_PREFIX}${side}-P${digest(rules, 16)}`;
}

/** Those asked for lately: an id names all policies of a pod. */
const rulesetNames = new Map<RulesetId, string>();
const MOST_REMEMBERED = 1_000;

/** Of a ruleset in names of chains and in what is logged. */
export function rulesetName(id: RulesetId): string {
  const name = rulesetNames.get(id) ?? digest(id, 14);
  if (rulesetNames.size >= MOST_REMEMBERED) rulesetNames.clear();
  rulesetNames.set(id, name);
  return name;
}

export function setName(side: Side, family: Family, id: SetId): string {
  return `${sidePrefix(side, family)}${digest(id, 18)}`;
}

export function sidePrefix(side: Side, family: Family): string {
  return `${SET_PREFIX}${side}${family}-`;
}

/** Address of a local pod -> mark of its ruleset. */
export function mapName(side: Side, family: Family, direction: Direction): string {
  return `${sidePrefix(side, family)}${direction}`;
}

/** Of these two one holds every address and one none; the first full says that the right side is in force. */
export function generationSets(family: Family): { readonly inForce: string; readonly spare: string } {
  return { inForce: `${SET_PREFIX}right${family}`, spare: `${SET_PREFIX}spare${family}` };
}

/** Of what is told apart by what it says. */
export function digest(text: string, characters: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, characters);
}
