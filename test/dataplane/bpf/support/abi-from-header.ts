/** bpf/abi.h read as text -> the layout that BTF gives for it, so that tests without privilege or compiler use the real records. */
import { readFileSync } from 'node:fs';
import { type Abi, abiOf } from '../../../../src/dataplane/bpf/abi.ts';
import type { Layout, Member, StructLayout } from '../../../../src/native.ts';

const SIZES: Readonly<Record<string, number>> = { __u8: 1, __u16: 2, __u32: 4, __u64: 8, __be16: 2, __be32: 4 };

export function abiFromHeader(): Abi {
  return abiOf(layoutFromHeader());
}

export function layoutFromHeader(): Pick<Layout, 'structs' | 'enums'> {
  const path = new URL('../../../../bpf/abi.h', import.meta.url);
  const text = readFileSync(path, 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '');
  const numbers = new Map<string, number>();
  const enums = new Map<string, Map<string, number>>();
  for (const [, name, body] of text.matchAll(/enum (\w+) \{([^}]*)\}/g)) {
    enums.set(name as string, enumerators(body as string, numbers));
  }
  const structs = new Map<string, StructLayout>();
  for (const [, name, body] of text.matchAll(/struct (\w+) \{([^}]*)\}/g)) {
    structs.set(name as string, structOf(name as string, body as string));
  }
  return { structs, enums };
}

function enumerators(body: string, numbers: Map<string, number>): Map<string, number> {
  const values = new Map<string, number>();
  let next = 0;
  for (const part of body.split(',').map((item) => item.trim())) {
    if (part === '') continue;
    const [, name, expression] = /^(\w+)(?:\s*=\s*(.+))?$/.exec(part) as RegExpExecArray;
    if (expression !== undefined) next = evaluate(expression, numbers);
    values.set(name as string, next);
    numbers.set(name as string, next++);
  }
  return values;
}

/** A number, a name, or a shift of these. */
function evaluate(expression: string, numbers: ReadonlyMap<string, number>): number {
  const terms = expression.split('<<').map((term) => numbers.get(term.trim()) ?? Number(term));
  return terms.reduce((value, bits) => value << bits);
}

function structOf(name: string, body: string): StructLayout {
  const members: Member[] = [];
  let offset = 0;
  for (const [, type, field, count] of body.matchAll(/(\w+) (\w+)(?:\[(\d+)\])?;/g)) {
    const size = SIZES[type as string] as number;
    const bigEndian = (type as string).startsWith('__be');
    const element = { kind: 'uint', size, bigEndian } as const;
    const array = count === undefined ? element : { kind: 'array', size: size * Number(count), bigEndian, element };
    members.push({ name: field as string, offset, ...array } as Member);
    offset += array.size;
  }
  return { name, kind: 'struct', size: offset, members };
}
