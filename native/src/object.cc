#include "object.hh"

#include <bpf/bpf.h>
#include <fcntl.h>

#include <cstring>
#include <vector>

#include "addon.hh"
#include "btf.hh"
#include "bytes.hh"
#include "error.hh"
#include "log_capture.hh"
#include "map.hh"
#include "program.hh"

void Object::define(Napi::Env env, Napi::Object exports) {
  exports["Object"] = DefineClass(env, "Object",
                                  {
                                      InstanceMethod<&Object::types>("types"),
                                      InstanceMethod<&Object::maps>("maps"),
                                      InstanceMethod<&Object::programs>("programs"),
                                      InstanceMethod<&Object::section_bytes>("sectionBytes"),
                                      InstanceMethod<&Object::set_section_bytes>("setSectionBytes"),
                                      InstanceMethod<&Object::set_max_entries>("setMaxEntries"),
                                      InstanceMethod<&Object::set_inner_max_entries>("setInnerMaxEntries"),
                                      InstanceMethod<&Object::set_map_flags>("setMapFlags"),
                                      InstanceMethod<&Object::reuse_map>("reuseMap"),
                                      InstanceMethod<&Object::set_autoload>("setAutoload"),
                                      InstanceMethod<&Object::load>("load"),
                                      InstanceMethod<&Object::map>("map"),
                                      InstanceMethod<&Object::program>("program"),
                                      InstanceMethod<&Object::close>("close"),
                                  });
}

// new Object(path, kernel BTF path or '')
Object::Object(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Object>(info) {
  path_ = string_of(info[0]);
  const std::string kernel_btf = string_of(info[1]);
  LogCapture log;
  LIBBPF_OPTS(bpf_object_open_opts, options);
  if (!kernel_btf.empty()) options.btf_custom_path = kernel_btf.c_str();
  object_.reset(bpf_object__open_file(path_.c_str(), &options));
  if (!object_) throw bpf_error(info.Env(), errno, "bpf_object__open", path_, log.text());
  if (bpf_object__btf(object_.get()) == nullptr) {
    throw bpf_error(info.Env(), ENOENT, "bpf_object__open", path_ + " (it has no BTF: compile with -g)", log.text());
  }
}

Napi::Value Object::types(const Napi::CallbackInfo &info) {
  return btf_types(info.Env(), bpf_object__btf(object_.get()));
}

// libbpf prefixes the maps of global variables with a piece of the object's name.
static std::string display_name(const bpf_map *map) {
  const std::string name = bpf_map__name(map);
  return bpf_map__is_internal(map) ? name.substr(std::min(name.find('.'), name.size())) : name;
}

bpf_map &Object::find_map(const Napi::Value &wanted) const {
  const std::string name = string_of(wanted);
  bpf_map *map = nullptr;
  bpf_object__for_each_map(map, object_.get()) {
    if (display_name(map) == name) break;
  }
  assert(map != nullptr);
  return *map;
}

bpf_program &Object::find_program(const Napi::Value &wanted) const {
  bpf_program *program = bpf_object__find_program_by_name(object_.get(), string_of(wanted).c_str());
  assert(program != nullptr);
  return *program;
}

static Napi::Object describe_map(Napi::Env env, bpf_map *map) {
  const char *type = libbpf_bpf_map_type_str(bpf_map__type(map));
  auto spec = Napi::Object::New(env);
  spec["name"] = Napi::String::New(env, display_name(map));
  spec["type"] = Napi::String::New(env, type ? type : std::to_string(bpf_map__type(map)));
  spec["keySize"] = Napi::Number::New(env, bpf_map__key_size(map));
  spec["valueSize"] = Napi::Number::New(env, bpf_map__value_size(map));
  spec["maxEntries"] = Napi::Number::New(env, bpf_map__max_entries(map));
  spec["flags"] = Napi::Number::New(env, bpf_map__map_flags(map));
  if (bpf_map *inner = bpf_map__inner_map(map)) spec["inner"] = describe_map(env, inner);
  return spec;
}

Napi::Value Object::maps(const Napi::CallbackInfo &info) {
  auto result = Napi::Array::New(info.Env());
  bpf_map *map = nullptr;
  bpf_object__for_each_map(map, object_.get()) {
    const Napi::Object spec = describe_map(info.Env(), map);
    const auto changed = inner_max_entries_.find(display_name(map));
    if (changed != inner_max_entries_.end()) {
      spec.Get("inner").As<Napi::Object>()["maxEntries"] = Napi::Number::New(info.Env(), changed->second);
    }
    result[result.Length()] = spec;
  }
  return result;
}

Napi::Value Object::programs(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  auto result = Napi::Array::New(env);
  bpf_program *program = nullptr;
  bpf_object__for_each_program(program, object_.get()) {
    const char *type = libbpf_bpf_prog_type_str(bpf_program__type(program));
    auto spec = Napi::Object::New(env);
    spec["name"] = Napi::String::New(env, bpf_program__name(program));
    spec["section"] = Napi::String::New(env, bpf_program__section_name(program));
    spec["type"] = Napi::String::New(env, type ? type : std::to_string(bpf_program__type(program)));
    spec["autoload"] = Napi::Boolean::New(env, bpf_program__autoload(program));
    result[result.Length()] = spec;
  }
  return result;
}

// sectionBytes(section, offset, size)
Napi::Value Object::section_bytes(const Napi::CallbackInfo &info) {
  size_t length = 0;
  const auto *memory = static_cast<const uint8_t *>(bpf_map__initial_value(&find_map(info[0]), &length));
  const size_t offset = uint32_of(info[1]), size = uint32_of(info[2]);
  assert(memory != nullptr && offset + size <= length);
  return copy_to_buffer(info.Env(), memory + offset, size);
}

// setSectionBytes(section, offset, bytes)
void Object::set_section_bytes(const Napi::CallbackInfo &info) {
  bpf_map &map = find_map(info[0]);
  size_t length = 0;
  const auto *memory = static_cast<const uint8_t *>(bpf_map__initial_value(&map, &length));
  const size_t offset = uint32_of(info[1]);
  const Bytes bytes = bytes_of(info[2]);
  assert(memory != nullptr && offset + bytes.size() <= length);
  std::vector<uint8_t> section(memory, memory + length); // libbpf only takes the whole section
  std::memcpy(section.data() + offset, bytes.data(), bytes.size());
  check_set(info.Env(), bpf_map__set_initial_value(&map, section.data(), length), "bpf_map__set_initial_value", map);
}

void Object::check_set(Napi::Env env, int result, const char *function, const bpf_map &map) const {
  checked(env, result, function, "map " + display_name(&map) + " of " + path_);
}

void Object::set_max_entries(const Napi::CallbackInfo &info) {
  bpf_map &map = find_map(info[0]);
  check_set(info.Env(), bpf_map__set_max_entries(&map, uint32_of(info[1])), "bpf_map__set_max_entries", map);
}

void Object::set_inner_max_entries(const Napi::CallbackInfo &info) {
  inner_max_entries_[string_of(info[0])] = uint32_of(info[1]);
}

// libbpf cannot change a declared prototype (bpf_map__set_max_entries crashes on it), only take another one instead.
std::vector<Fd> Object::replace_inner_prototypes(Napi::Env env) {
  std::vector<Fd> prototypes;
  for (const auto &[name, max_entries] : inner_max_entries_) {
    bpf_map &map = find_map(Napi::String::New(env, name));
    const bpf_map *inner = bpf_map__inner_map(&map);
    assert(inner != nullptr);
    LIBBPF_OPTS(bpf_map_create_opts, options);
    options.map_flags = bpf_map__map_flags(inner);
    const int fd = bpf_map_create(bpf_map__type(inner), nullptr, bpf_map__key_size(inner), bpf_map__value_size(inner),
                                  max_entries, &options);
    prototypes.emplace_back(checked(env, fd, "BPF_MAP_CREATE", "inner map of " + name));
    check_set(env, bpf_map__set_inner_map_fd(&map, fd), "bpf_map__set_inner_map_fd", map);
  }
  inner_max_entries_.clear();
  return prototypes;
}

void Object::set_map_flags(const Napi::CallbackInfo &info) {
  bpf_map &map = find_map(info[0]);
  check_set(info.Env(), bpf_map__set_map_flags(&map, uint32_of(info[1])), "bpf_map__set_map_flags", map);
}

void Object::reuse_map(const Napi::CallbackInfo &info) {
  bpf_map &map = find_map(info[0]);
  LogCapture log;
  const int result = bpf_map__reuse_fd(&map, Map::unwrap(info[1]).fd());
  if (result < 0) throw bpf_error(info.Env(), result, "bpf_map__reuse_fd", "map " + display_name(&map), log.text());
}

void Object::set_autoload(const Napi::CallbackInfo &info) {
  const int result = bpf_program__set_autoload(&find_program(info[0]), info[1].As<Napi::Boolean>());
  checked(info.Env(), result, "bpf_program__set_autoload", path_);
}

void Object::load(const Napi::CallbackInfo &info) {
  const std::vector<Fd> prototypes = replace_inner_prototypes(info.Env());
  LogCapture log;
  const int result = bpf_object__load(object_.get());
  if (result < 0) throw bpf_error(info.Env(), result, "bpf_object__load", path_, log.text());
}

static Fd duplicate(Napi::Env env, int fd, const char *what, const std::string &name) {
  checked(env, fd, what, name);
  return Fd(checked_errno(env, fcntl(fd, F_DUPFD_CLOEXEC, 3), "fcntl", name));
}

Napi::Value Object::map(const Napi::CallbackInfo &info) {
  const bpf_map &map = find_map(info[0]);
  const std::string name = display_name(&map);
  return Map::make(info.Env(), duplicate(info.Env(), bpf_map__fd(&map), "bpf_map__fd", "map " + name), name);
}

Napi::Value Object::program(const Napi::CallbackInfo &info) {
  const bpf_program &program = find_program(info[0]);
  const std::string name = bpf_program__name(&program);
  Fd fd = duplicate(info.Env(), bpf_program__fd(&program), "bpf_program__fd", "program " + name + " (not loaded)");
  return Program::make(info.Env(), std::move(fd), name);
}

void Object::close(const Napi::CallbackInfo &) { object_.reset(); }
