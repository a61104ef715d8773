// The raw types of a BTF blob -> structs, enums and variables by name, with typedefs and qualifiers resolved.

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
const BIG_ENDIAN = new Set(['__be16', '__be32', '__be64']);
const COMPOSITE = new Set(['struct', 'union']);

/** `types[id]` is the type of that id; id 0 is void. */
export function buildLayout(types) {
  const structs = new Map();
  const enums = new Map();
  const variables = new Map();
  const names = nameTypes(types);

  types.forEach((type, id) => {
    const name = names.get(id);
    if (name === undefined) return;
    if (COMPOSITE.has(type.kind)) {
      structs.set(name, { name, kind: type.kind, size: type.size, members: describeMembers(types, names, type) });
    } else if (type.kind === 'enum') {
      enums.set(name, new Map(type.values.map(({ name, value }) => [name, narrow(value)])));
    }
  });
  for (const section of types) {
    if (section?.kind !== 'section' || !section.name.startsWith('.')) continue;
    // Sections of map definitions and licences are no memory that anyone reads.
    if (section.name === '.maps') continue;
    for (const { type: id, offset } of section.variables) {
      const variable = types[id];
      const described = describe(types, names, variable.type);
      variables.set(variable.name, { name: variable.name, section: section.name, offset, ...described });
    }
  }
  return { structs, enums, variables };
}

// Structs and enums by id; one without a name of its own goes by that of the first typedef for it.
function nameTypes(types) {
  const named = (type) => COMPOSITE.has(type?.kind) || (type?.kind === 'enum' && !isCut(type));
  const names = new Map();
  types.forEach((type, id) => {
    if (named(type) && type.name !== '') names.set(id, type.name);
  });
  for (const type of types) {
    if (type?.kind !== 'typedef') continue;
    if (named(types[type.type]) && !names.has(type.type)) names.set(type.type, type.name);
  }
  return names;
}

// clang before 15 records enums of 64 bits with values of 32: better none than wrong ones.
function isCut(type) {
  return type.size > 4 && !type.wide;
}

// clang before 15 marks no sign.
function isSigned(type) {
  return type.signed || (!isCut(type) && type.values.some(({ value }) => value < 0n));
}

function narrow(value) {
  return value >= -MAX_SAFE && value <= MAX_SAFE ? Number(value) : value;
}

function describeMembers(types, names, composite) {
  return composite.members.map(({ name, type, bitOffset, bitSize }) => ({
    name,
    offset: Math.floor(bitOffset / 8),
    ...describe(types, names, type),
    ...(bitSize > 0 ? { bits: { offset: bitOffset, size: bitSize } } : {}),
  }));
}

function describe(types, names, start) {
  let id = start;
  let typeName;
  let bigEndian = false;
  while (types[id]?.kind === 'typedef' || types[id]?.kind === 'modifier') {
    const { kind, name, type } = types[id];
    if (kind === 'typedef') {
      typeName ??= name;
      bigEndian ||= BIG_ENDIAN.has(name);
    }
    id = type;
  }
  const type = types[id];
  typeName ??= type?.name || names.get(id);
  const common = (kind, size) => ({ kind, size, bigEndian, ...(typeName ? { typeName } : {}) });
  switch (type?.kind) {
    case 'int':
      return common(type.bool ? 'bool' : type.signed ? 'int' : 'uint', type.size);
    case 'float':
      return common('float', type.size);
    case 'pointer':
      return common('pointer', 8);
    case 'enum': {
      const name = names.get(id);
      return { ...common('enum', type.size), signed: isSigned(type), ...(name ? { enum: name } : {}) };
    }
    case 'struct':
    case 'union': {
      const name = names.get(id);
      const reference = name ? { struct: name } : { members: describeMembers(types, names, type) };
      return { ...common(type.kind, type.size), ...reference };
    }
    case 'array': {
      const element = describe(types, names, type.type);
      const size = element.size * type.count;
      return { ...common('array', size), bigEndian: element.bigEndian, count: type.count, element };
    }
    default:
      return common('unknown', 0);
  }
}
