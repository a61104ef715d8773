/** The types of an object as its BTF tells them; C names are the keys, without `struct` or `enum`. */
export interface Layout {
  /** Named structs and unions, also those whose only name is a typedef. */
  readonly structs: ReadonlyMap<string, StructLayout>;
  /** Without those of 64 bits from clang before 15, which cuts their values. */
  readonly enums: ReadonlyMap<string, EnumLayout>;
  /** Global variables (.rodata, .data, .bss) by name. */
  readonly variables: ReadonlyMap<string, Variable>;
}

/** Enumerator -> value: a number where it is a safe integer, else a bigint. */
export type EnumLayout = ReadonlyMap<string, number | bigint>;

export type TypeKind =
  | 'uint'
  | 'int'
  | 'bool'
  | 'float'
  | 'enum'
  | 'array'
  | 'struct'
  | 'union'
  | 'pointer'
  | 'unknown';

export interface TypeLayout {
  readonly kind: TypeKind;
  /** Bytes. */
  readonly size: number;
  /** True where a typedef on the way is __be16, __be32 or __be64 (for arrays: of the element). */
  readonly bigEndian: boolean;
  /** The outermost C name: '__be32', 'ipcache_value', 'unsigned int'; absent for arrays and anonymous types. */
  readonly typeName?: string;
  /** kind 'enum': its name in `Layout.enums`; absent when anonymous. */
  readonly enum?: string;
  /** kind 'enum': whether there are negative values, or room for them. */
  readonly signed?: boolean;
  /** kind 'struct' or 'union': its name in `Layout.structs`; absent when anonymous. */
  readonly struct?: string;
  /** kind 'struct' or 'union' and anonymous: its members, offsets counted from its own start. */
  readonly members?: readonly Member[];
  /** kind 'array': elements. */
  readonly count?: number;
  /** kind 'array': one element. */
  readonly element?: TypeLayout;
}

export interface Member extends TypeLayout {
  /** '' for an anonymous struct or union. */
  readonly name: string;
  /** Bytes from the start of the struct. For a bit field: those of the byte in which it starts. */
  readonly offset: number;
  /** Only for bit fields: width in bits, and where it starts, in bits from the start of the struct. */
  readonly bits?: { readonly offset: number; readonly size: number };
}

export interface StructLayout {
  readonly name: string;
  readonly kind: 'struct' | 'union';
  /** Bytes, padding included. */
  readonly size: number;
  readonly members: readonly Member[];
}

export interface Variable extends TypeLayout {
  readonly name: string;
  /** '.rodata', '.data', '.bss', '.rodata.name' ...; also the name of the map that holds it. */
  readonly section: string;
  /** Bytes from the start of the section. */
  readonly offset: number;
}
