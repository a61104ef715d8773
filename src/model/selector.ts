/** Label selectors: their canonical text, by which equal selectors are recognised, and which labels they match. */
import type { Labels, Requirement, Selector } from './cluster.ts';

/**
 * One text for every spelling of a selector: requirements sorted and without repetition, values too.
 * `{}` for everything, else for example `{!legacy,app in (api,web),team=a}`.
 * Keys and values hold none of the separators, so different requirements never share a text.
 */
export function selectorText(selector: Selector): string {
  return `{${[...new Set(selector.requirements.map(requirementText))].sort().join(',')}}`;
}

/** Whether every requirement holds for the labels. */
export function matches(selector: Selector, labels: Labels): boolean {
  return selector.requirements.every((requirement) => holds(requirement, labels));
}

function requirementText(requirement: Requirement): string {
  const { key, operator } = requirement;
  if (!('values' in requirement)) return operator === 'Exists' ? key : `!${key}`;
  const values = [...new Set(requirement.values)].sort();
  if (requirement.operator === 'In')
    return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(',')})`;
  return `${key} notin (${values.join(',')})`;
}

function holds(requirement: Requirement, labels: Labels): boolean {
  // Own properties only: `constructor` is a valid label key.
  const value = Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && requirement.values.includes(value);
    // "NotIn" also selects what does not bear the label at all.
    case 'NotIn':
      return value === undefined || !requirement.values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}
