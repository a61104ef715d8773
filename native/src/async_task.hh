// Work on a thread of libuv's pool whose outcome settles a promise.
#pragma once

#include <napi.h>

#include <memory>

/// One piece of work. It owns all that `run` touches: handles may be closed and their environment may end meanwhile.
class AsyncTask {
public:
  virtual ~AsyncTask() = default;
  /// On the worker's thread: no JavaScript.
  virtual void run() = 0;
  /// On the JavaScript thread, after `run`: what the promise resolves with. An exception rejects it.
  virtual Napi::Value outcome(Napi::Env env) = 0;
};

/// Queues the task. @returns its promise
Napi::Value start_task(Napi::Env env, const char *name, std::unique_ptr<AsyncTask> task);
