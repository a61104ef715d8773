#include "features.hh"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <time.h>

#include "bytes.hh"
#include "error.hh"
#include "fd.hh"
#include "map.hh"
#include "map_elements.hh"
#include "tcx.hh"

// With tcx, attaching to a device that does not exist fails for that reason (ENODEV);
// without it the attach type itself is wrong (EINVAL).
static Napi::Value has_tcx(const Napi::CallbackInfo &info) {
  const bpf_insn program[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  };
  const int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "probe_tcx", "GPL", program, 2, nullptr);
  const Fd loaded(checked(info.Env(), fd, "BPF_PROG_LOAD", "program probe_tcx"));
  const Fd link(tcx_attach(loaded.get(), INT32_MAX, TcHook::kIngress));
  const int error = -link.get();
  if (!link.valid() && error != ENODEV && error != EINVAL) {
    throw bpf_error(info.Env(), error, "BPF_LINK_CREATE", "program probe_tcx");
  }
  return Napi::Boolean::New(info.Env(), error != EINVAL);
}

// hasBatch(map): whether look-ups in batches work on this map.
static Napi::Value has_batch(const Napi::CallbackInfo &info) {
  std::vector<uint8_t> position(4096), keys(4096), values(uint32_of(info[1]) + 8);
  uint32_t count = 1;
  const int result = bpf_map_lookup_batch(Map::unwrap(info[0]).fd(), nullptr, position.data(), keys.data(),
                                          values.data(), &count, nullptr);
  return Napi::Boolean::New(info.Env(), !is_batch_unsupported(-result));
}

static Napi::Value possible_cpus(const Napi::CallbackInfo &info) {
  const int count = checked(info.Env(), libbpf_num_possible_cpus(), "open", "/sys/devices/system/cpu/possible");
  return Napi::Number::New(info.Env(), count);
}

// The coarse clocks advance once per tick: their resolution is 1 / HZ.
static Napi::Value tick_nanoseconds(const Napi::CallbackInfo &info) {
  timespec resolution{};
  checked_errno(info.Env(), clock_getres(CLOCK_MONOTONIC_COARSE, &resolution), "clock_getres", "the coarse clock");
  return Napi::Number::New(info.Env(), double(resolution.tv_sec) * 1e9 + double(resolution.tv_nsec));
}

static Napi::Value libbpf_version(const Napi::CallbackInfo &info) {
  const std::string text = std::to_string(libbpf_major_version()) + "." + std::to_string(libbpf_minor_version());
  return Napi::String::New(info.Env(), text);
}

void define_features(Napi::Env env, Napi::Object exports) {
  exports["hasTcx"] = Napi::Function::New(env, has_tcx);
  exports["hasBatch"] = Napi::Function::New(env, has_batch);
  exports["possibleCpus"] = Napi::Function::New(env, possible_cpus);
  exports["tickNanoseconds"] = Napi::Function::New(env, tick_nanoseconds);
  exports["libbpfVersion"] = Napi::Function::New(env, libbpf_version);
}
