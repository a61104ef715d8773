#include "btf.hh"

#include <bpf/btf.h>

static Napi::Array members(Napi::Env env, const btf *types, const btf_type *type) {
  auto result = Napi::Array::New(env);
  const struct btf_member *member = btf_members(type);
  for (uint32_t i = 0; i < btf_vlen(type); i++) {
    auto one = Napi::Object::New(env);
    one["name"] = Napi::String::New(env, btf__name_by_offset(types, member[i].name_off));
    one["type"] = Napi::Number::New(env, member[i].type);
    one["bitOffset"] = Napi::Number::New(env, btf_member_bit_offset(type, i));
    one["bitSize"] = Napi::Number::New(env, btf_member_bitfield_size(type, i));
    result[i] = one;
  }
  return result;
}

static Napi::Array enumerators(Napi::Env env, const btf *types, const btf_type *type) {
  auto result = Napi::Array::New(env);
  const bool is_signed = btf_kflag(type);
  for (uint32_t i = 0; i < btf_vlen(type); i++) {
    auto one = Napi::Object::New(env);
    if (btf_is_enum(type)) {
      const struct btf_enum &value = btf_enum(type)[i];
      one["name"] = Napi::String::New(env, btf__name_by_offset(types, value.name_off));
      // Taken as C's int: compilers before LLVM 15 mark no sign, so the flag can't be asked.
      one["value"] = Napi::BigInt::New(env, int64_t(value.val));
    } else {
      const struct btf_enum64 &value = btf_enum64(type)[i];
      const uint64_t bits = btf_enum64_value(&value);
      one["name"] = Napi::String::New(env, btf__name_by_offset(types, value.name_off));
      one["value"] = is_signed ? Napi::BigInt::New(env, int64_t(bits)) : Napi::BigInt::New(env, bits);
    }
    result[i] = one;
  }
  return result;
}

static Napi::Array section_variables(Napi::Env env, const btf_type *type) {
  auto result = Napi::Array::New(env);
  const btf_var_secinfo *variable = btf_var_secinfos(type);
  for (uint32_t i = 0; i < btf_vlen(type); i++) {
    auto one = Napi::Object::New(env);
    one["type"] = Napi::Number::New(env, variable[i].type);
    one["offset"] = Napi::Number::New(env, variable[i].offset);
    one["size"] = Napi::Number::New(env, variable[i].size);
    result[i] = one;
  }
  return result;
}

static const char *kind_name(const btf_type *type) {
  switch (btf_kind(type)) {
  case BTF_KIND_INT:
    return "int";
  case BTF_KIND_PTR:
    return "pointer";
  case BTF_KIND_ARRAY:
    return "array";
  case BTF_KIND_STRUCT:
    return "struct";
  case BTF_KIND_UNION:
    return "union";
  case BTF_KIND_ENUM:
  case BTF_KIND_ENUM64:
    return "enum";
  case BTF_KIND_TYPEDEF:
    return "typedef";
  case BTF_KIND_CONST:
  case BTF_KIND_VOLATILE:
  case BTF_KIND_RESTRICT:
  case BTF_KIND_TYPE_TAG:
    return "modifier";
  case BTF_KIND_VAR:
    return "variable";
  case BTF_KIND_DATASEC:
    return "section";
  case BTF_KIND_FLOAT:
    return "float";
  default:
    return "other";
  }
}

static Napi::Object describe(Napi::Env env, const btf *types, const btf_type *type) {
  auto result = Napi::Object::New(env);
  const auto number = [&](const char *name, double value) { result[name] = Napi::Number::New(env, value); };
  result["kind"] = Napi::String::New(env, kind_name(type));
  result["name"] = Napi::String::New(env, btf__name_by_offset(types, type->name_off));
  switch (btf_kind(type)) {
  case BTF_KIND_INT:
    number("size", type->size);
    result["signed"] = Napi::Boolean::New(env, btf_int_encoding(type) & BTF_INT_SIGNED);
    result["bool"] = Napi::Boolean::New(env, btf_int_encoding(type) & BTF_INT_BOOL);
    break;
  case BTF_KIND_ARRAY:
    number("type", btf_array(type)->type);
    number("count", btf_array(type)->nelems);
    break;
  case BTF_KIND_STRUCT:
  case BTF_KIND_UNION:
    number("size", type->size);
    result["members"] = members(env, types, type);
    break;
  case BTF_KIND_ENUM:
  case BTF_KIND_ENUM64:
    number("size", type->size);
    result["signed"] = Napi::Boolean::New(env, btf_kflag(type));
    result["wide"] = Napi::Boolean::New(env, btf_is_enum64(type));
    result["values"] = enumerators(env, types, type);
    break;
  case BTF_KIND_FLOAT:
    number("size", type->size);
    break;
  case BTF_KIND_DATASEC:
    result["variables"] = section_variables(env, type);
    break;
  default:
    number("type", type->type);
    break;
  }
  return result;
}

Napi::Array btf_types(Napi::Env env, const btf *types) {
  auto result = Napi::Array::New(env);
  const uint32_t count = btf__type_cnt(types);
  for (uint32_t id = 1; id < count; id++) {
    Napi::HandleScope scope(env);
    result[id] = describe(env, types, btf__type_by_id(types, id));
  }
  return result;
}
