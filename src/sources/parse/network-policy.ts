/**
 * A NetworkPolicy to its slim form. One whose rules are not valid stays in force without any rule:
 * it isolates the pods that it selects and admits nothing.
 */
import type { Direction, NetworkPolicy, PolicyRule } from '../../model/cluster.ts';
import { type Draft, metadataOf, reportTo } from './draft.ts';
import type { Field } from './field.ts';
import { parsePeer, parsePort } from './policy-rule.ts';
import { parseSelector } from './selector.ts';

const POLICY_TYPES = ['Ingress', 'Egress'] as const;
const DIRECTIONS = { Ingress: 'ingress', Egress: 'egress' } as const;
const BOTH: readonly Direction[] = ['ingress', 'egress'];

export function parseNetworkPolicy(draft: Draft): NetworkPolicy {
  const { name, namespace } = metadataOf(draft.root);
  const wholeSpec = draft.root.child('spec');
  // "An empty podSelector matches all pods in this namespace", and so does an absent one.
  const podSelector = parseSelector(wholeSpec.child('podSelector'));

  const faults = draft.ruleErrors;
  const spec = wholeSpec.reportingTo(reportTo(faults));
  const ingress = parseRules(spec, 'ingress', draft);
  const egress = parseRules(spec, 'egress', draft);
  const policyTypes = parsePolicyTypes(spec);

  const unusable = draft.errors.length > 0;
  // What is no place for a selector is none for rules either: one fault, found twice.
  const isNoObject = draft.errors.some(({ field }) => field === 'spec');
  for (const { field, message } of faults) {
    if (isNoObject && field === 'spec') continue;
    // One by one: a spread of very many faults overflows the stack.
    if (unusable) draft.errors.push({ field, message });
    else draft.remarks.push({ field, message: `${message}; until this is mended the policy admits nothing` });
  }
  const closed = faults.length > 0;
  return {
    kind: 'NetworkPolicy',
    namespace,
    name,
    podSelector,
    policyTypes,
    ingress: closed ? [] : ingress,
    egress: closed ? [] : egress,
    ...(draft.place.origin && { origin: draft.place.origin }),
  };
}

function parseRules(spec: Field, direction: Direction, draft: Draft): PolicyRule[] {
  const rules = spec.child(direction).items();
  const peers = direction === 'ingress' ? 'from' : 'to';
  return rules.map((rule, index) => {
    rule.only(peers, 'ports');
    const line = draft.place.lineOf?.(['spec', direction, index]);
    return {
      peers: rule
        .child(peers)
        .items()
        .flatMap((peer) => parsePeer(peer) ?? []),
      ports: rule
        .child('ports')
        .items()
        .flatMap((port) => parsePort(port) ?? []),
      ...(line !== undefined && { line }),
    };
  });
}

/**
 * "If policyTypes is not specified, it defaults by the existence of ingress or egress rules; policies that contain an
 * egress section are assumed to affect egress, and all policies are assumed to affect ingress." An empty egress list
 * is no section to the API server. Where a fault hides what was meant, both directions are isolated.
 */
function parsePolicyTypes(spec: Field): readonly Direction[] {
  const field = spec.child('policyTypes');
  const clear = spec.only('podSelector', 'policyTypes', 'ingress', 'egress');
  const types = field.items().map((item) => item.choice(POLICY_TYPES));
  if (types.length > 2) field.complain('at most two policy types');
  if (types.length > 2 || types.includes(undefined) || (field.present && !Array.isArray(field.value))) return BOTH;
  if (types.length > 0) return BOTH.filter((direction) => types.some((type) => type && DIRECTIONS[type] === direction));
  if (!clear) return BOTH;
  const egress = spec.child('egress').value ?? [];
  return Array.isArray(egress) && egress.length === 0 ? ['ingress'] : BOTH;
}
