#include "map.hh"

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "addon.hh"
#include "error.hh"
#include "inner_batch.hh"
#include "map_elements.hh"
#include "mapped_map.hh"

void Map::define(Napi::Env env, Napi::Object exports) {
  const Napi::Function constructor = DefineClass(env, "Map",
                                                 {
                                                     StaticMethod<&Map::create>("create"),
                                                     StaticMethod<&Map::open_pinned>("openPinned"),
                                                     StaticMethod<&Map::from_id>("fromId"),
                                                     InstanceMethod<&Map::info>("info"),
                                                     InstanceMethod<&Map::get>("get"),
                                                     InstanceMethod<&Map::set>("set"),
                                                     InstanceMethod<&Map::remove>("delete"),
                                                     InstanceMethod<&Map::keys>("keys"),
                                                     InstanceMethod<&Map::entries>("entries"),
                                                     InstanceMethod<&Map::set_batch>("setBatch"),
                                                     InstanceMethod<&Map::delete_batch>("deleteBatch"),
                                                     InstanceMethod<&Map::set_inner>("setInner"),
                                                     InstanceMethod<&Map::set_inner_batch>("setInnerBatch"),
                                                     InstanceMethod<&Map::delete_inner_batch>("deleteInnerBatch"),
                                                     InstanceMethod<&Map::get_inner>("getInner"),
                                                     InstanceMethod<&Map::mmap>("mmap"),
                                                     InstanceMethod<&Map::pin>("pin"),
                                                     InstanceMethod<&Map::close>("close"),
                                                 });
  Addon::of(env).map_class = Napi::Persistent(constructor);
  exports["Map"] = constructor;
}

Napi::Object Map::make(Napi::Env env, Fd fd, std::string name) {
  Init init{std::move(fd), std::move(name)};
  return construct(Addon::of(env).map_class, init);
}

Map::Map(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Map>(info) {
  auto &init = construction_argument<Init>(info);
  uint32_t size = sizeof(info_);
  checked(info.Env(), bpf_obj_get_info_by_fd(init.fd.get(), &info_, &size), "BPF_OBJ_GET_INFO_BY_FD",
          "map " + init.name);
  fd_ = std::move(init.fd);
  name_ = init.name.empty() ? info_.name : init.name;
  label_ = "map " + (name_.empty() ? "with id " + std::to_string(info_.id) : name_);
}

// create(type name, keySize, valueSize, maxEntries, flags, name, inner map or undefined)
Napi::Value Map::create(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const std::string type_name = string_of(info[0]), name = string_of(info[5]);
  int type = -1;
  for (int candidate = 1; candidate < 256 && type < 0; candidate++) {
    const char *known = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(candidate));
    if (known == nullptr) break;
    if (type_name == known) type = candidate;
  }
  if (type < 0) throw Napi::TypeError::New(env, "type: no map type is called " + type_name);
  LIBBPF_OPTS(bpf_map_create_opts, options);
  options.map_flags = uint32_of(info[4]);
  if (!info[6].IsUndefined()) options.inner_map_fd = unwrap(info[6]).fd();
  const int fd = bpf_map_create(static_cast<bpf_map_type>(type), name.empty() ? nullptr : name.c_str(),
                                uint32_of(info[1]), uint32_of(info[2]), uint32_of(info[3]), &options);
  return make(env, Fd(checked(env, fd, "BPF_MAP_CREATE", "map " + name)), name);
}

Napi::Value Map::open_pinned(const Napi::CallbackInfo &info) {
  const std::string path = string_of(info[0]);
  return make(info.Env(), Fd(checked(info.Env(), bpf_obj_get(path.c_str()), "BPF_OBJ_GET", path)), "");
}

Napi::Value Map::from_id(const Napi::CallbackInfo &info) {
  const uint32_t id = uint32_of(info[0]);
  const int fd = bpf_map_get_fd_by_id(id);
  return make(info.Env(), Fd(checked(info.Env(), fd, "BPF_MAP_GET_FD_BY_ID", "map with id " + std::to_string(id))), "");
}

static MapShape shape_of(int fd, const bpf_map_info &info) {
  return {fd, info.type, info.key_size, io_value_size(info.type, info.value_size), info.max_entries};
}

Napi::Value Map::info(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const char *type = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(info_.type));
  auto result = Napi::Object::New(env);
  result["id"] = Napi::Number::New(env, info_.id);
  result["type"] = Napi::String::New(env, type ? type : std::to_string(info_.type));
  result["keySize"] = Napi::Number::New(env, info_.key_size);
  result["valueSize"] = Napi::Number::New(env, info_.value_size);
  result["maxEntries"] = Napi::Number::New(env, info_.max_entries);
  result["flags"] = Napi::Number::New(env, info_.map_flags);
  result["name"] = Napi::String::New(env, info_.name);
  result["label"] = Napi::String::New(env, name_);
  result["valueBytes"] = Napi::Number::New(env, io_value_size(info_.type, info_.value_size));
  return result;
}

Napi::Value Map::get(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  auto value = Napi::Buffer<uint8_t>::New(env, io_value_size(info_.type, info_.value_size));
  const int result = bpf_map_lookup_elem(fd(), bytes_of(info[0]).data(), value.Data());
  if (result == -ENOENT) return env.Undefined();
  checked(env, result, "BPF_MAP_LOOKUP_ELEM", label_);
  return value;
}

// set(key, value, flags)
void Map::set(const Napi::CallbackInfo &info) {
  const int result = bpf_map_update_elem(fd(), bytes_of(info[0]).data(), bytes_of(info[1]).data(), uint32_of(info[2]));
  checked(info.Env(), result, "BPF_MAP_UPDATE_ELEM", label_);
}

Napi::Value Map::remove(const Napi::CallbackInfo &info) {
  const int result = bpf_map_delete_elem(fd(), bytes_of(info[0]).data());
  if (result != -ENOENT) checked(info.Env(), result, "BPF_MAP_DELETE_ELEM", label_);
  return Napi::Boolean::New(info.Env(), result == 0);
}

Napi::Value Map::keys(const Napi::CallbackInfo &info) {
  MapContents contents;
  checked(info.Env(), -read_keys(shape_of(fd(), info_), contents), "BPF_MAP_GET_NEXT_KEY", label_);
  return copy_to_buffer(info.Env(), contents.keys.data(), contents.keys.size());
}

Napi::Value Map::entries(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  MapContents contents;
  checked(env, -read_elements(shape_of(fd(), info_), contents), "BPF_MAP_LOOKUP_BATCH", label_);
  auto result = Napi::Object::New(env);
  result["count"] = Napi::Number::New(env, contents.count);
  result["keys"] = copy_to_buffer(env, contents.keys.data(), contents.keys.size());
  result["values"] = copy_to_buffer(env, contents.values.data(), contents.values.size());
  return result;
}

// setBatch(keys, values, count)
void Map::set_batch(const Napi::CallbackInfo &info) {
  const uint32_t count = uint32_of(info[2]);
  const auto [error, done] =
      write_elements(shape_of(fd(), info_), bytes_of(info[0]).data(), bytes_of(info[1]).data(), count);
  if (error) throw bpf_error(info.Env(), error, "BPF_MAP_UPDATE_BATCH", progress(label_, done, count));
}

// deleteBatch(keys, count)
Napi::Value Map::delete_batch(const Napi::CallbackInfo &info) {
  const uint32_t count = uint32_of(info[1]);
  const auto [error, done] = delete_elements(shape_of(fd(), info_), bytes_of(info[0]).data(), count);
  if (error) throw bpf_error(info.Env(), error, "BPF_MAP_DELETE_BATCH", progress(label_, done, count));
  return Napi::Number::New(info.Env(), done);
}

// setInner(key, map)
void Map::set_inner(const Napi::CallbackInfo &info) {
  const Map &inner = unwrap(info[1]);
  const int inner_fd = inner.fd();
  const int result = bpf_map_update_elem(fd(), bytes_of(info[0]).data(), &inner_fd, BPF_ANY);
  checked(info.Env(), result, "BPF_MAP_UPDATE_ELEM", label_ + " (inner " + inner.label() + ")");
}

// Descriptors of its own: the handles may be closed while a worker is at it.
Fd Map::duplicate(Napi::Env env) const {
  return Fd(checked_errno(env, fcntl(fd(), F_DUPFD_CLOEXEC, 3), "fcntl F_DUPFD_CLOEXEC", label_));
}

InnerBatch Map::inner_batch(Napi::Env env, const Napi::Value &keys, uint32_t count) const {
  const Bytes bytes = bytes_of(keys);
  InnerBatch batch{shape_of(-1, info_), duplicate(env), label_, {bytes.begin(), bytes.end()}, {}, count};
  batch.shape.fd = batch.outer.get();
  return batch;
}

// setInnerBatch(keys, maps)
Napi::Value Map::set_inner_batch(const Napi::CallbackInfo &info) {
  const auto inners = info[1].As<Napi::Array>();
  InnerBatch batch = inner_batch(info.Env(), info[0], inners.Length());
  for (uint32_t i = 0; i < batch.count; i++) {
    batch.inners.push_back(unwrap(inners.Get(i)).duplicate(info.Env()));
  }
  return ::set_inner_batch(info.Env(), std::move(batch));
}

// deleteInnerBatch(keys, count)
Napi::Value Map::delete_inner_batch(const Napi::CallbackInfo &info) {
  return ::delete_inner_batch(info.Env(), inner_batch(info.Env(), info[0], uint32_of(info[1])));
}

Napi::Value Map::get_inner(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  uint32_t id = 0;
  const int result = bpf_map_lookup_elem(fd(), bytes_of(info[0]).data(), &id);
  if (result == -ENOENT) return env.Undefined();
  checked(env, result, "BPF_MAP_LOOKUP_ELEM", label_);
  const int inner_fd = bpf_map_get_fd_by_id(id);
  if (inner_fd == -ENOENT) return env.Undefined(); // replaced meanwhile
  checked(env, inner_fd, "BPF_MAP_GET_FD_BY_ID", label_ + " (inner map)");
  return make(env, Fd(inner_fd), "");
}

Napi::Value Map::mmap(const Napi::CallbackInfo &info) {
  const size_t page = sysconf(_SC_PAGESIZE);
  const size_t used = size_t(info_.max_entries) * ((info_.value_size + 7) / 8 * 8);
  MappedMap::Init init{.memory = nullptr, .used = used, .mapped = (used + page - 1) / page * page};
  init.memory = ::mmap(nullptr, init.mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd(), 0);
  if (init.memory == MAP_FAILED) throw bpf_error(info.Env(), errno, "mmap", label_);
  return construct(Addon::of(info.Env()).mapped_map_class, init);
}

void Map::pin(const Napi::CallbackInfo &info) {
  const std::string path = string_of(info[0]);
  checked(info.Env(), bpf_obj_pin(fd(), path.c_str()), "BPF_OBJ_PIN", label_ + " at " + path);
}

void Map::close(const Napi::CallbackInfo &) { fd_.reset(); }
