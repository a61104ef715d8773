#include "async_task.hh"

namespace {

struct Queued {
  std::unique_ptr<AsyncTask> task;
  napi_deferred deferred;
  napi_async_work work;
};

void execute(napi_env, void *data) { static_cast<Queued *>(data)->task->run(); }

// Plain Node-API: a worker thread that is being ended runs no JavaScript any more, and the wrappers would abort on that.
void complete(napi_env env, napi_status status, void *data) {
  const std::unique_ptr<Queued> queued(static_cast<Queued *>(data));
  napi_delete_async_work(env, queued->work);
  if (status != napi_ok) return;
  try {
    const napi_value value = queued->task->outcome(env);
    napi_resolve_deferred(env, queued->deferred, value);
  } catch (const Napi::Error &error) {
    // Empty when the environment is ending.
    if (!error.IsEmpty()) napi_reject_deferred(env, queued->deferred, error.Value());
  }
}

} // namespace

Napi::Value start_task(Napi::Env env, const char *name, std::unique_ptr<AsyncTask> task) {
  auto queued = std::make_unique<Queued>(Queued{std::move(task), nullptr, nullptr});
  napi_value promise;
  const auto check = [env](napi_status status) {
    if (status != napi_ok) throw Napi::Error::New(env);
  };
  check(napi_create_async_work(env, nullptr, Napi::String::New(env, name), execute, complete, queued.get(),
                               &queued->work));
  check(napi_create_promise(env, &queued->deferred, &promise));
  check(napi_queue_async_work(env, queued->work));
  queued.release(); // `complete` has it
  return Napi::Value(env, promise);
}
