/** One object while it is parsed: where its fields are read from and where its faults are gathered. */
import type { Labels, Origin } from '../../model/cluster.ts';
import { Field, type Report } from './field.ts';
import { DNS_LABEL, DNS_SUBDOMAIN, isDnsLabel, isDnsSubdomain, labelsOf } from './syntax.ts';

/** Where a value was found. */
export interface Place {
  readonly origin?: Origin;
  /** Line of the value at a path from the object's root, when it is known. */
  readonly lineOf?: (path: readonly (string | number)[]) => number | undefined;
  /** Path of an alias that stands inside of what it names; such an object is not valid. */
  readonly cycle?: string;
}

export interface Fault {
  readonly field: string;
  readonly message: string;
}

export interface Draft {
  readonly root: Field;
  readonly place: Place;
  /** The object cannot be used. */
  readonly errors: Fault[];
  /** A policy's rules cannot be used; what it isolates stands. */
  readonly ruleErrors: Fault[];
  /** The object can be used without these fields. */
  readonly remarks: Fault[];
}

export function draftOf(value: unknown, place: Place): Draft {
  const errors: Fault[] = [];
  return { root: new Field(value, reportTo(errors)), place, errors, ruleErrors: [], remarks: [] };
}

export function reportTo(faults: Fault[]): Report {
  return (field, message) => faults.push({ field, message });
}

export interface Metadata {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Labels;
  /** `KIND NAMESPACE/NAME` of the controller that made the object. */
  readonly owner?: string;
}

/** `metadata`, with the API's default namespace. Without a name the object cannot be used. */
export function metadataOf(root: Field, nameSyntax: 'label' | 'subdomain' = 'subdomain'): Metadata {
  const metadata = root.child('metadata');
  const nameField = metadata.child('name');
  const name =
    nameSyntax === 'label'
      ? nameField.textLike(isDnsLabel, DNS_LABEL)
      : nameField.textLike(isDnsSubdomain, DNS_SUBDOMAIN);
  if (!nameField.present) nameField.complain('a name is required');
  const namespace = metadata.child('namespace').textLike(isNamespaceOrNone, DNS_LABEL) || 'default';
  const owner = ownerOf(metadata, namespace);
  return { name: name ?? '', namespace, labels: labelsOf(metadata.child('labels')), ...(owner && { owner }) };
}

/** The API takes an empty namespace for none given. */
function isNamespaceOrNone(text: string): boolean {
  return text === '' || isDnsLabel(text);
}

function ownerOf(metadata: Field, namespace: string): string | undefined {
  for (const reference of metadata.child('ownerReferences').items()) {
    if (reference.child('controller').value !== true) continue;
    return `${reference.child('kind').text()} ${namespace}/${reference.child('name').text()}`;
  }
  return undefined;
}
