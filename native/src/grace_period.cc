#include "grace_period.hh"

#include <bpf/bpf.h>

#include "addon.hh"
#include "error.hh"

namespace {

// The kernel promises that after an update of a map-in-map returns, no program still uses the inner map that was there
// (maybe_wait_bpf_programs in kernel/bpf/syscall.c): the system call waits for a grace period.
class GracePeriod : public Napi::AsyncWorker {
public:
  GracePeriod(Napi::Env env, int outer, int inner)
      : AsyncWorker(env), promise_(Napi::Promise::Deferred::New(env)), outer_(outer), inner_(inner) {}
  Napi::Promise promise() const { return promise_.Promise(); }

protected:
  void Execute() override {
    const uint32_t key = 0;
    result_ = bpf_map_update_elem(outer_, &key, &inner_, BPF_ANY);
  }
  void OnOK() override {
    if (result_ == 0) {
      promise_.Resolve(Env().Undefined());
    } else {
      promise_.Reject(bpf_error(Env(), result_, "BPF_MAP_UPDATE_ELEM", "map rcu_outer").Value());
    }
  }

private:
  Napi::Promise::Deferred promise_;
  int outer_, inner_, result_ = 0;
};

void make_maps(Napi::Env env, Addon &addon) {
  if (addon.grace_outer.valid()) return;
  Fd inner(checked(env, bpf_map_create(BPF_MAP_TYPE_ARRAY, "rcu_inner", 4, 4, 1, nullptr), "BPF_MAP_CREATE",
                   "map rcu_inner"));
  LIBBPF_OPTS(bpf_map_create_opts, options);
  options.inner_map_fd = inner.get();
  addon.grace_outer = Fd(checked(env, bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "rcu_outer", 4, 4, 1, &options),
                                 "BPF_MAP_CREATE", "map rcu_outer"));
  addon.grace_inner = std::move(inner);
}

Napi::Value rcu_grace_period(const Napi::CallbackInfo &info) {
  Addon &addon = Addon::of(info.Env());
  make_maps(info.Env(), addon);
  auto *wait = new GracePeriod(info.Env(), addon.grace_outer.get(), addon.grace_inner.get());
  const Napi::Promise promise = wait->promise();
  wait->Queue();
  return promise;
}

} // namespace

void define_grace_period(Napi::Env env, Napi::Object exports) {
  exports["rcuGracePeriod"] = Napi::Function::New(env, rcu_grace_period);
}
