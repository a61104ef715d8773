/** A LabelSelector of the API to a selector of the model, checked as the API server checks it. */
import type { Requirement, Selector } from '../../model/cluster.ts';
import { describe, type Field } from './field.ts';
import { isLabelKey, isLabelValue, LABEL_KEY, LABEL_VALUE, labelsOf } from './syntax.ts';

const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const;

/** An absent selector gives one without requirements: callers ask `present` where absence means something else. */
export function parseSelector(field: Field): Selector {
  field.only('matchLabels', 'matchExpressions');
  const requirements: Requirement[] = [];
  for (const [key, value] of Object.entries(labelsOf(field.child('matchLabels')))) {
    requirements.push({ key, operator: 'In', values: [value] });
  }
  for (const expression of field.child('matchExpressions').items()) {
    const requirement = parseExpression(expression);
    if (requirement !== undefined) requirements.push(requirement);
  }
  return { requirements };
}

function parseExpression(field: Field): Requirement | undefined {
  if (!field.present) return undefined;
  field.only('key', 'operator', 'values');
  const keyField = field.child('key');
  const key = keyField.textLike(isLabelKey, LABEL_KEY);
  if (!keyField.present) keyField.complain('a label key is required');
  const operatorField = field.child('operator');
  const operator = operatorField.choice(OPERATORS);
  if (!operatorField.present) operatorField.complain(`required: one of ${OPERATORS.join(', ')}`);
  const valuesField = field.child('values');
  const values = valuesField.items().map((value) => value.textLike(isLabelValue, LABEL_VALUE) ?? '');
  if (key === undefined || operator === undefined) return undefined;
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) return valuesField.complain(`operator ${operator} needs at least one value`);
    return { key, operator, values };
  }
  if (values.length > 0)
    return valuesField.complain(`operator ${operator} takes no values, not ${describe(values[0])}`);
  return { key, operator };
}
