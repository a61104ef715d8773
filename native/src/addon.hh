// What one JavaScript environment (the main thread or a worker) owns of this addon.
#pragma once

#include <napi.h>

#include <memory>
#include <unordered_set>

struct GraceMaps;
struct PollState;

class Addon {
public:
  explicit Addon(Napi::Env env);
  static Addon &of(Napi::Env env) { return *env.GetInstanceData<Addon>(); }

  Napi::FunctionReference make_error;
  Napi::FunctionReference map_class;
  Napi::FunctionReference mapped_map_class;
  Napi::FunctionReference program_class;
  Napi::FunctionReference tc_link_class;
  /// Made at the first use.
  std::shared_ptr<GraceMaps> grace_maps;

  void poll_opened(PollState *poll);
  /// libuv has let go of a poll's memory; until then the environment must not end.
  void poll_closed(PollState *poll);

private:
  static void on_environment_end(napi_async_cleanup_hook_handle hook, void *addon);

  std::unordered_set<PollState *> polls_;
  napi_async_cleanup_hook_handle cleanup_hook_ = nullptr;
  bool ending_ = false;
};

/// Makes an instance of a wrapped class from C++; the class's constructor takes the pointer as its only argument.
template <class Init> Napi::Object construct(const Napi::FunctionReference &wrapped_class, Init &init) {
  return wrapped_class.New({Napi::External<Init>::New(wrapped_class.Env(), &init)});
}

template <class Init> Init &construction_argument(const Napi::CallbackInfo &info) {
  return *info[0].As<Napi::External<Init>>().Data();
}
