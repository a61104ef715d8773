/** Label selectors: whether one selects an object's labels, and one canonical spelling for equal selectors. */
import type { Labels, Requirement, Selector } from './cluster.ts';

/** The canonical spelling, `{app in (db,web),!legacy,tier=back}`; `{}` selects everything. */
export function selectorText(selector: Selector): string {
  return `{${[...new Set(selector.requirements.map(requirementText))].sort().join(',')}}`;
}

/** Whether all requirements hold. As in Kubernetes, NotIn also selects labels that lack the key. */
export function matches(selector: Selector, labels: Labels): boolean {
  for (const requirement of selector.requirements) if (!holds(requirement, labels)) return false;
  return true;
}

function holds(requirement: Requirement, labels: Labels): boolean {
  const value = Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && requirement.values.includes(value);
    case 'NotIn':
      return value === undefined || !requirement.values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

function requirementText(requirement: Requirement): string {
  if (requirement.operator === 'Exists') return requirement.key;
  if (requirement.operator === 'DoesNotExist') return `!${requirement.key}`;
  const values = [...new Set(requirement.values)].sort();
  if (requirement.operator === 'In' && values.length === 1) return `${requirement.key}=${values[0]}`;
  return `${requirement.key} ${requirement.operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`;
}
