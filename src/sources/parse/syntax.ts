/** The API's spellings: names, label keys and values, port names; and what to say to one that is none of them. */
import { describe, type Field } from './field.ts';

export const DNS_LABEL = 'a name of at most 63 lower-case letters, digits and "-"';
export const DNS_SUBDOMAIN = 'a name of at most 253 lower-case letters, digits, "-" and "."';
export const LABEL_VALUE = 'at most 63 letters, digits, "-", "_" and ".", a letter or digit first and last';
export const LABEL_KEY = `a label key ([DOMAIN/]NAME, the name ${LABEL_VALUE})`;
export const PORT_NAME = 'a port name (at most 15 lower-case letters, digits and single "-", at least one letter)';

export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/.test(text);
}

export function isDnsSubdomain(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/.test(text);
}

export function isLabelValue(text: string): boolean {
  return text === '' || isLabelName(text);
}

export function isLabelKey(text: string): boolean {
  const slash = text.indexOf('/');
  return slash < 0 ? isLabelName(text) : isDnsSubdomain(text.slice(0, slash)) && isLabelName(text.slice(slash + 1));
}

export function isPortName(text: string): boolean {
  return text.length <= 15 && /^(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*$/.test(text);
}

/** A port as the API writes it: a number, or text that names one. */
export function portOrName(field: Field): number | string | undefined {
  return typeof field.value === 'string' ? field.textLike(isPortName, PORT_NAME) : field.integer(1, 65535);
}

/** Labels, checked as the API server checks them. */
export function labelsOf(field: Field): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [key, value] of field.entries()) {
    if (!isLabelKey(key)) value.complain(`the key must be ${LABEL_KEY}, not ${describe(key)}`);
    else if (!value.present) value.complain('must be text, not null');
    else labels[key] = value.textLike(isLabelValue, LABEL_VALUE) ?? '';
  }
  return labels;
}

function isLabelName(text: string): boolean {
  return text.length <= 63 && /^[A-Za-z0-9](?:[-\w.]*[A-Za-z0-9])?$/.test(text);
}
