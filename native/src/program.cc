#include "program.hh"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <vector>

#include "addon.hh"
#include "error.hh"

void Program::define(Napi::Env env, Napi::Object exports) {
  const Napi::Function constructor = DefineClass(env, "Program",
                                                 {
                                                     StaticMethod<&Program::open_pinned>("openPinned"),
                                                     StaticMethod<&Program::from_id>("fromId"),
                                                     InstanceMethod<&Program::info>("info"),
                                                     InstanceMethod<&Program::test_run>("testRun"),
                                                     InstanceMethod<&Program::xlated>("xlated"),
                                                     InstanceMethod<&Program::pin>("pin"),
                                                     InstanceMethod<&Program::close>("close"),
                                                 });
  Addon::of(env).program_class = Napi::Persistent(constructor);
  exports["Program"] = constructor;
}

Napi::Object Program::make(Napi::Env env, Fd fd, std::string name) {
  Init init{std::move(fd), std::move(name)};
  return construct(Addon::of(env).program_class, init);
}

static bpf_prog_info read_info(Napi::Env env, int fd, const std::string &label) {
  bpf_prog_info info{};
  uint32_t size = sizeof(info);
  checked(env, bpf_obj_get_info_by_fd(fd, &info, &size), "BPF_OBJ_GET_INFO_BY_FD", label);
  return info;
}

Program::Program(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Program>(info) {
  auto &init = construction_argument<Init>(info);
  name_ = init.name.empty() ? read_info(info.Env(), init.fd.get(), "program").name : init.name;
  fd_ = std::move(init.fd);
  label_ = "program " + name_;
}

Napi::Value Program::open_pinned(const Napi::CallbackInfo &info) {
  const std::string path = string_of(info[0]);
  return make(info.Env(), Fd(checked(info.Env(), bpf_obj_get(path.c_str()), "BPF_OBJ_GET", path)), "");
}

Napi::Value Program::from_id(const Napi::CallbackInfo &info) {
  const uint32_t id = uint32_of(info[0]);
  const int fd = bpf_prog_get_fd_by_id(id);
  return make(info.Env(), Fd(checked(info.Env(), fd, "BPF_PROG_GET_FD_BY_ID", "program with id " + std::to_string(id))),
              "");
}

static std::string hex(const uint8_t *bytes, size_t size) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < size; i++) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

Napi::Value Program::info(const Napi::CallbackInfo &call) {
  const Napi::Env env = call.Env();
  bpf_prog_info info = read_info(env, fd(), label_);
  const char *type = libbpf_bpf_prog_type_str(static_cast<bpf_prog_type>(info.type));

  // A second question for the ids, now that their number is known.
  std::vector<uint32_t> map_ids(info.nr_map_ids);
  bpf_prog_info with_ids{};
  with_ids.nr_map_ids = map_ids.size();
  with_ids.map_ids = reinterpret_cast<uintptr_t>(map_ids.data());
  uint32_t size = sizeof(with_ids);
  checked(env, bpf_obj_get_info_by_fd(fd(), &with_ids, &size), "BPF_OBJ_GET_INFO_BY_FD", label_);
  auto ids = Napi::Array::New(env);
  for (uint32_t i = 0; i < map_ids.size(); i++) ids[i] = Napi::Number::New(env, map_ids[i]);

  auto result = Napi::Object::New(env);
  result["id"] = Napi::Number::New(env, info.id);
  result["name"] = Napi::String::New(env, info.name);
  result["label"] = Napi::String::New(env, name_);
  result["type"] = Napi::String::New(env, type ? type : std::to_string(info.type));
  result["tag"] = Napi::String::New(env, hex(info.tag, sizeof(info.tag)));
  result["jitedSize"] = Napi::Number::New(env, info.jited_prog_len);
  result["xlatedInstructions"] = Napi::Number::New(env, info.xlated_prog_len / sizeof(bpf_insn));
  result["verifiedInstructions"] = Napi::Number::New(env, info.verified_insns);
  result["mapIds"] = ids;
  result["runCount"] = Napi::BigInt::New(env, uint64_t(info.run_cnt));
  result["runTimeNs"] = Napi::BigInt::New(env, uint64_t(info.run_time_ns));
  return result;
}

static __sk_buff context_of(const Napi::Object &given) {
  __sk_buff context{};
  const auto set = [&given](const char *name, uint32_t &field) {
    const Napi::Value value = given.Get(name);
    if (!value.IsUndefined()) field = uint32_of(value);
  };
  set("mark", context.mark);
  set("priority", context.priority);
  set("ifindex", context.ifindex);
  set("ingressIfindex", context.ingress_ifindex);
  set("wireLength", context.wire_len);
  set("gsoSegments", context.gso_segs);
  set("gsoSize", context.gso_size);
  if (const Napi::Value cb = given.Get("cb"); !cb.IsUndefined()) {
    for (uint32_t i = 0; i < 5; i++) context.cb[i] = uint32_of(cb.As<Napi::Object>().Get(i));
  }
  if (const Napi::Value tstamp = given.Get("tstamp"); !tstamp.IsUndefined()) {
    bool lossless = false;
    context.tstamp = tstamp.As<Napi::BigInt>().Uint64Value(&lossless);
  }
  return context;
}

static Napi::Object context_to_object(Napi::Env env, const __sk_buff &context) {
  auto result = Napi::Object::New(env);
  const auto put = [&](const char *name, uint32_t value) { result[name] = Napi::Number::New(env, value); };
  put("mark", context.mark);
  put("priority", context.priority);
  put("ifindex", context.ifindex);
  put("ingressIfindex", context.ingress_ifindex);
  put("wireLength", context.wire_len);
  put("gsoSegments", context.gso_segs);
  put("gsoSize", context.gso_size);
  auto cb = Napi::Array::New(env, 5);
  for (uint32_t i = 0; i < 5; i++) cb[i] = Napi::Number::New(env, context.cb[i]);
  result["cb"] = cb;
  result["tstamp"] = Napi::BigInt::New(env, uint64_t(context.tstamp));
  return result;
}

// testRun(packet, repeat, room for the packet that comes out, context or undefined)
Napi::Value Program::test_run(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const Bytes packet = bytes_of(info[0]);
  const bool has_context = info[3].IsObject();
  __sk_buff context = has_context ? context_of(info[3].As<Napi::Object>()) : __sk_buff{};
  auto out = Napi::Buffer<uint8_t>::New(env, uint32_of(info[2]));
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = packet.data();
  options.data_size_in = packet.size();
  options.data_out = out.ByteLength() ? out.Data() : nullptr;
  options.data_size_out = out.ByteLength();
  options.repeat = uint32_of(info[1]);
  if (has_context) {
    options.ctx_in = options.ctx_out = &context;
    options.ctx_size_in = options.ctx_size_out = sizeof(context);
  }
  checked(env, bpf_prog_test_run_opts(fd(), &options), "BPF_PROG_TEST_RUN", label_);

  auto result = Napi::Object::New(env);
  result["returnValue"] = Napi::Number::New(env, int32_t(options.retval));
  result["packet"] = copy_to_buffer(env, out.Data(), std::min<size_t>(options.data_size_out, out.ByteLength()));
  result["durationNs"] = Napi::Number::New(env, options.duration);
  if (has_context) result["context"] = context_to_object(env, context);
  return result;
}

Napi::Value Program::xlated(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const uint32_t length = read_info(env, fd(), label_).xlated_prog_len;
  auto instructions = Napi::Buffer<uint8_t>::New(env, length);
  bpf_prog_info request{};
  request.xlated_prog_len = length;
  request.xlated_prog_insns = reinterpret_cast<uintptr_t>(instructions.Data());
  uint32_t size = sizeof(request);
  checked(env, bpf_obj_get_info_by_fd(fd(), &request, &size), "BPF_OBJ_GET_INFO_BY_FD", label_);
  return instructions;
}

void Program::pin(const Napi::CallbackInfo &info) {
  const std::string path = string_of(info[0]);
  checked(info.Env(), bpf_obj_pin(fd(), path.c_str()), "BPF_OBJ_PIN", label_ + " at " + path);
}

void Program::close(const Napi::CallbackInfo &) { fd_.reset(); }
