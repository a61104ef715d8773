#include "grace_period.hh"

#include <bpf/bpf.h>

#include <memory>

#include "addon.hh"
#include "error.hh"

namespace {

struct Wait {
  std::shared_ptr<GraceMaps> maps;
  napi_deferred deferred;
  napi_async_work work;
  int result;
};

// On a thread of libuv's pool. The kernel promises that after an update of a map-in-map returns, no program still uses
// the inner map that was there (maybe_wait_bpf_programs in kernel/bpf/syscall.c): the call waits for a grace period.
void execute(napi_env, void *data) {
  auto *wait = static_cast<Wait *>(data);
  const uint32_t key = 0;
  const int inner = wait->maps->inner.get();
  wait->result = bpf_map_update_elem(wait->maps->outer.get(), &key, &inner, BPF_ANY);
}

// Plain Node-API: a worker thread that is being ended runs no JavaScript any more, and the wrappers would abort on that.
void complete(napi_env env, napi_status status, void *data) {
  const std::unique_ptr<Wait> wait(static_cast<Wait *>(data));
  napi_delete_async_work(env, wait->work);
  if (status != napi_ok) return;
  napi_value undefined;
  if (wait->result == 0) {
    if (napi_get_undefined(env, &undefined) == napi_ok) napi_resolve_deferred(env, wait->deferred, undefined);
    return;
  }
  try {
    const Napi::Error error = bpf_error(env, wait->result, "BPF_MAP_UPDATE_ELEM", "map rcu_outer");
    napi_reject_deferred(env, wait->deferred, error.Value());
  } catch (const Napi::Error &) {
    // The environment is ending.
  }
}

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
  const Napi::Env env = info.Env();
  Addon &addon = Addon::of(env);
  if (!addon.grace_maps) addon.grace_maps = make_maps(env);
  auto wait = std::make_unique<Wait>(Wait{addon.grace_maps, nullptr, nullptr, 0});
  napi_value promise;
  const auto check = [env](napi_status status) {
    if (status != napi_ok) throw Napi::Error::New(env);
  };
  check(napi_create_async_work(env, nullptr, Napi::String::New(env, "rcuGracePeriod"), execute, complete, wait.get(),
                               &wait->work));
  check(napi_create_promise(env, &wait->deferred, &promise));
  check(napi_queue_async_work(env, wait->work));
  wait.release(); // `complete` has it
  return Napi::Value(env, promise);
}

} // namespace

void define_grace_period(Napi::Env env, Napi::Object exports) {
  exports["rcuGracePeriod"] = Napi::Function::New(env, rcu_grace_period);
}
