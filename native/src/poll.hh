// Watches one file descriptor with the environment's event loop.
#pragma once

#include <napi.h>

#include <functional>

/// libuv's half of a watcher, which lives until libuv lets go of it.
struct PollState;
void close_poll(PollState *state);

class Poll {
public:
  /// Calls `on_readable` on the event loop's thread, in a handle scope. The fd must stay open until `close`.
  Poll(Napi::Env env, int fd, std::function<void()> on_readable);
  ~Poll() { close(); }
  Poll(const Poll &) = delete;

  void ref();
  void unref();
  void close();

private:
  friend void close_poll(PollState *state);
  PollState *state_;
};

/// Calls a JavaScript function from the event loop, with what belongs to that: async context, microtasks afterwards.
void call_from_loop(const Napi::FunctionReference &callback, Napi::Value argument);
