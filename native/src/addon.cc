#include "addon.hh"

#include <mutex>

#include "bpffs.hh"
#include "features.hh"
#include "file_lock.hh"
#include "grace_period.hh"
#include "log_capture.hh"
#include "map.hh"
#include "mapped_map.hh"
#include "memory.hh"
#include "netlink_query.hh"
#include "netlink_watch.hh"
#include "netns.hh"
#include "nflog.hh"
#include "object.hh"
#include "packet_socket.hh"
#include "poll.hh"
#include "program.hh"
#include "ring_buffer.hh"
#include "socket.hh"
#include "tc_link.hh"

Addon::Addon(Napi::Env env) { napi_add_async_cleanup_hook(env, on_environment_end, this, &cleanup_hook_); }

void Addon::poll_opened(PollState *poll) { polls_.insert(poll); }

void Addon::poll_closed(PollState *poll) {
  polls_.erase(poll);
  if (ending_ && polls_.empty()) napi_remove_async_cleanup_hook(cleanup_hook_);
}

// libuv closes its watchers asynchronously, and a worker's loop and this library's code must outlive that:
// hence a hook that the environment waits for.
void Addon::on_environment_end(napi_async_cleanup_hook_handle, void *data) {
  auto *addon = static_cast<Addon *>(data);
  addon->ending_ = true;
  if (addon->polls_.empty()) {
    napi_remove_async_cleanup_hook(addon->cleanup_hook_);
    return;
  }
  for (PollState *poll : addon->polls_) close_poll(poll);
}

static Napi::Value initialize(const Napi::CallbackInfo &info) {
  Addon::of(info.Env()).make_error = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  static std::once_flag once;
  std::call_once(once, [] { LogCapture::install(); });
  env.SetInstanceData(new Addon(env));
  exports["initialize"] = Napi::Function::New(env, initialize);
  Object::define(env, exports);
  Map::define(env, exports);
  MappedMap::define(env, exports);
  Program::define(env, exports);
  TcLink::define(env, exports);
  RingBuffer::define(env, exports);
  NetlinkWatch::define(env, exports);
  NflogReader::define(env, exports);
  PacketSocket::define(env, exports);
  define_grace_period(env, exports);
  define_netlink_query(env, exports);
  define_memory(env, exports);
  define_netns(env, exports);
  define_socket(env, exports);
  define_bpffs(env, exports);
  define_features(env, exports);
  define_file_lock(env, exports);
  return exports;
}

NODE_API_MODULE(selvedge_libbpf, init)
