/**
 * What stays while sides change: the two sets that say which side is in force, our chains at the built-in ones, and the
 * jumps to them. Laid so that what is in force is never touched.
 */
import type { Family, Prefix } from '../../model/address.ts';
import { halves } from './block-members.ts';
import { CHAIN_PREFIX, generationSets, HOOKS, type Hook, SIDES, type Side, sideChain, sidePrefix } from './names.ts';
import { emptyScript, type Script } from './script.ts';
import type { Snapshot } from './snapshot.ts';

/** Chains that packets come to from a hook, with their rules. */
export function entryChains(family: Family, hooks: readonly Hook[]): ReadonlyMap<string, readonly string[]> {
  const { inForce } = generationSets(family);
  return new Map(
    hooks.map((hook) => {
      const role = hook === 'FORWARD' ? 'FWD' : 'OWN';
      // What a pod answers its node is nobody's business; what it answers others is judged by the side in force.
      const replies = hook === 'INPUT' ? ['-m conntrack --ctstate ESTABLISHED --ctdir REPLY -j RETURN'] : [];
      const rules = [
        ...replies,
        // The one place where a packet reads the generation.
        `-m set --match-set ${inForce} src -g ${sideChain('R', role)}`,
        `-g ${sideChain('L', role)}`,
      ];
      return [HOOKS[hook], rules];
    }),
  );
}

/** Creates the generation's sets, or mends them: then the left side counts as in force. */
export function generationLines(family: Family, { sets, inForce }: Snapshot): string[] {
  if (inForce !== undefined) return [];
  const names = generationSets(family);
  const missing = [names.inForce, names.spare].filter((name) => !sets.has(name));
  const shape = `hash:net family ${family === 4 ? 'inet' : 'inet6'} hashsize 64`;
  const everything = halves((family === 4 ? '0.0.0.0/0' : '::/0') as Prefix);
  return [
    ...missing.map((name) => `create ${name} ${shape}`),
    `flush ${names.inForce}`,
    `flush ${names.spare}`,
    ...everything.map((half) => `add ${names.spare} ${half}`),
  ];
}

/** Puts the other side in force, for all packets from one instant on. */
export function flipLine(family: Family): string {
  const { inForce, spare } = generationSets(family);
  return `swap ${inForce} ${spare}`;
}

/**
 * Empties the idle side and lays whatever is missing. The jumps are the last lines: they lead to chains that are there.
 * Removals name sets of the idle side, to be run after the rules.
 */
export function foundationScript(family: Family, idle: Side, hooks: readonly Hook[], snapshot: Snapshot): Script {
  const script = emptyScript();
  const { declarations, rules, removals } = script;
  const anchors = SIDES.flatMap((side) => (['FWD', 'OWN'] as const).map((role) => sideChain(side, role)));
  for (const chain of snapshot.chains.keys()) {
    if (!chain.startsWith(`${CHAIN_PREFIX}${idle}-`)) continue;
    declarations.push(chain);
    if (!anchors.includes(chain)) rules.push(`-X ${chain}`);
  }
  declarations.push(...anchors.filter((chain) => !snapshot.chains.has(chain)));
  for (const [chain, wanted] of entryChains(family, hooks)) {
    if (snapshot.chains.get(chain) === wanted.length) continue;
    declarations.push(chain);
    rules.push(...wanted.map((rule) => `-A ${chain} ${rule}`));
  }
  rules.push(...unhooking(snapshot, (hook) => !hooks.includes(hook) || snapshot.overtaken.has(hook)));
  const placed = hooks.filter((hook) => snapshot.hooks.has(hook) && !snapshot.overtaken.has(hook));
  for (const hook of hooks) if (!placed.includes(hook)) rules.push(`-I ${hook} 1 -j ${HOOKS[hook]}`);
  for (const name of snapshot.sets.keys()) {
    if (name.startsWith(sidePrefix(idle, family))) removals.push(`destroy ${name}`);
  }
  return script;
}

/** Takes away everything of ours in one family: afterwards nothing is enforced there. Removals go after the rules. */
export function removalScript(family: Family, snapshot: Snapshot): Script {
  const script = emptyScript();
  script.rules.push(...unhooking(snapshot, () => true));
  script.declarations.push(...snapshot.chains.keys());
  script.rules.push(...[...snapshot.chains.keys()].map((chain) => `-X ${chain}`));
  const { inForce, spare } = generationSets(family);
  const prefixes = SIDES.map((side) => sidePrefix(side, family));
  for (const name of snapshot.sets.keys()) {
    if (name === inForce || name === spare || prefixes.some((prefix) => name.startsWith(prefix))) {
      script.removals.push(`destroy ${name}`);
    }
  }
  return script;
}

/** Somebody may have written our jump again, out of a saved copy say. */
function unhooking({ hooks }: Snapshot, which: (hook: Hook) => boolean): string[] {
  return [...hooks]
    .filter(([hook]) => which(hook))
    .flatMap(([hook, times]) => Array.from({ length: times }, () => `-D ${hook} -j ${HOOKS[hook]}`));
}
