/** Does a label selector match a set of labels? The rules of metav1.LabelSelector. */
import type { LabelExpression, LabelSelector, Labels } from './objects.ts';

/**
 * "A label selector is a label query over a set of resources. The result of matchLabels and matchExpressions are
 * ANDed. An empty label selector matches all objects."
 */
export function selectorMatches(selector: LabelSelector, labels: Labels): boolean {
  const pairs = Object.entries(selector.matchLabels ?? {});
  const expressions = selector.matchExpressions ?? [];
  return (
    pairs.every(([key, value]) => has(labels, key) && labels[key] === value) &&
    expressions.every((expression) => expressionMatches(expression, labels))
  );
}

function expressionMatches({ key, operator, values }: LabelExpression, labels: Labels): boolean {
  const value = has(labels, key) ? labels[key] : undefined;
  const listed = value !== undefined && (values ?? []).includes(value);
  switch (operator) {
    case 'In':
      return listed;
    // `NotIn` asks that the key has none of the values; an object without the key has none of them.
    case 'NotIn':
      return !listed;
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      throw new Error(`not an operator of a label selector: ${String(operator)}`);
  }
}

/** Labels are data: a key such as `constructor` must not be found on the prototype. */
function has(labels: Labels, key: string): boolean {
  return Object.hasOwn(labels, key);
}
