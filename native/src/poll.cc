#include "poll.hh"

#include <cstdlib>

#include "addon.hh"
#include "error.hh"
#include "uv_abi.hh"

struct PollState {
  Addon *addon;
  Napi::Env env;
  Poll *owner; // null once closed
  std::function<void()> on_readable;
  uv_poll_s *poll;

  uv_handle_s *handle() const { return reinterpret_cast<uv_handle_s *>(poll); }
};

static PollState *state_of(const void *handle) {
  return static_cast<PollState *>(uv_handle_get_data(static_cast<const uv_handle_s *>(handle)));
}

static void on_poll(uv_poll_s *poll, int status, int) {
  PollState *state = state_of(poll);
  if (state->owner == nullptr) return;
  // libuv stops watching what reports an error, an overrun netlink socket say, which is well again once that is read.
  if (status < 0) uv_poll_start(poll, UV_READABLE, on_poll);
  Napi::HandleScope scope(state->env);
  // A copy, because the callback may close and so free the watcher's owner.
  const auto callback = state->on_readable;
  try {
    callback();
  } catch (const Napi::Error &) {
    // A worker that is being ended refuses to make or call anything.
  }
}

Poll::Poll(Napi::Env env, int fd, std::function<void()> on_readable) {
  uv_loop_s *loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  auto *poll = static_cast<uv_poll_s *>(std::calloc(1, uv_handle_size(UV_POLL)));
  if (const int result = uv_poll_init(loop, poll, fd); result < 0) {
    std::free(poll);
    throw bpf_error(env, result, "epoll_ctl", "fd " + std::to_string(fd));
  }
  state_ = new PollState{&Addon::of(env), env, this, std::move(on_readable), poll};
  uv_handle_set_data(state_->handle(), state_);
  state_->addon->poll_opened(state_);
  if (const int result = uv_poll_start(poll, UV_READABLE, on_poll); result < 0) {
    close();
    throw bpf_error(env, result, "epoll_ctl", "fd " + std::to_string(fd));
  }
}

void Poll::ref() {
  if (state_) uv_ref(state_->handle());
}

void Poll::unref() {
  if (state_) uv_unref(state_->handle());
}

void Poll::close() {
  if (state_) close_poll(state_);
}

void close_poll(PollState *state) {
  if (state->owner == nullptr) return;
  state->owner->state_ = nullptr;
  state->owner = nullptr;
  uv_poll_stop(state->poll);
  uv_close(state->handle(), [](uv_handle_s *handle) {
    PollState *closed = state_of(handle);
    Addon *addon = closed->addon;
    std::free(closed->poll);
    addon->poll_closed(closed);
    delete closed;
  });
}

void call_from_loop(const Napi::FunctionReference &callback, Napi::Value argument) {
  const Napi::Env env = callback.Env();
  const Napi::AsyncContext context(env, "selvedge-libbpf");
  try {
    callback.MakeCallback(env.Global(), {argument}, context);
  } catch (const Napi::Error &error) {
    // lib/deliver.js lets none out, but what the callback queued with process.nextTick runs, and throws, here too.
    napi_fatal_exception(env, error.Value());
  }
}
