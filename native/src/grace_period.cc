#include "grace_period.hh"

#include <bpf/bpf.h>

#include "addon.hh"
#include "async_task.hh"
#include "error.hh"

namespace {

class Wait : public AsyncTask {
public:
  explicit Wait(std::shared_ptr<GraceMaps> maps) : maps_(std::move(maps)) {}

  // The kernel promises that after an update of a map-in-map returns, no program still uses the inner map that was there
  // (maybe_wait_bpf_programs in kernel/bpf/syscall.c): the call waits for a grace period.
  void run() override {
    const uint32_t key = 0;
    const int inner = maps_->inner.get();
    result_ = bpf_map_update_elem(maps_->outer.get(), &key, &inner, BPF_ANY);
  }

  Napi::Value outcome(Napi::Env env) override {
    checked(env, result_, "BPF_MAP_UPDATE_ELEM", "map rcu_outer");
    napi_value undefined = nullptr; // the wrapper aborts in an environment that is ending
    napi_get_undefined(env, &undefined);
    return Napi::Value(env, undefined);
  }

private:
  std::shared_ptr<GraceMaps> maps_;
  int result_ = 0;
};

std::shared_ptr<GraceMaps> make_maps(Napi::Env env) {
  auto maps = std::make_shared<GraceMaps>();
  const int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "rcu_inner", 4, 4, 1, nullptr);
  maps->inner = Fd(checked(env, inner, "BPF_MAP_CREATE", "map rcu_inner"));
  LIBBPF_OPTS(bpf_map_create_opts, options);
  options.inner_map_fd = inner;
  const int outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "rcu_outer", 4, 4, 1, &options);
  maps->outer = Fd(checked(env, outer, "BPF_MAP_CREATE", "map rcu_outer"));
  return maps;
}

Napi::Value rcu_grace_period(const Napi::CallbackInfo &info) {
  Addon &addon = Addon::of(info.Env());
  if (!addon.grace_maps) addon.grace_maps = make_maps(info.Env());
  return start_task(info.Env(), "rcuGracePeriod", std::make_unique<Wait>(addon.grace_maps));
}

} // namespace

void define_grace_period(Napi::Env env, Napi::Object exports) {
  exports["rcuGracePeriod"] = Napi::Function::New(env, rcu_grace_period);
}
