#include "inner_batch.hh"

#include "async_task.hh"
#include "error.hh"

namespace {

class SetInners : public AsyncTask {
public:
  explicit SetInners(InnerBatch batch) : batch_(std::move(batch)) {}

  void run() override {
    std::vector<int> fds;
    for (const Fd &inner : batch_.inners) fds.push_back(inner.get());
    result_ =
        write_elements(batch_.shape, batch_.keys.data(), reinterpret_cast<const uint8_t *>(fds.data()), batch_.count);
  }

  Napi::Value outcome(Napi::Env env) override {
    if (result_.error)
      throw bpf_error(env, result_.error, "BPF_MAP_UPDATE_BATCH", progress(batch_.label, result_.done, batch_.count));
    napi_value undefined = nullptr; // the wrapper aborts in an environment that is ending
    napi_get_undefined(env, &undefined);
    return Napi::Value(env, undefined);
  }

private:
  InnerBatch batch_;
  BulkResult result_{};
};

class DeleteInners : public AsyncTask {
public:
  explicit DeleteInners(InnerBatch batch) : batch_(std::move(batch)) {}

  void run() override { result_ = delete_elements(batch_.shape, batch_.keys.data(), batch_.count); }

  Napi::Value outcome(Napi::Env env) override {
    if (result_.error)
      throw bpf_error(env, result_.error, "BPF_MAP_DELETE_BATCH", progress(batch_.label, result_.done, batch_.count));
    napi_value count = nullptr;
    napi_create_uint32(env, result_.done, &count);
    return Napi::Value(env, count);
  }

private:
  InnerBatch batch_;
  BulkResult result_{};
};

} // namespace

Napi::Value set_inner_batch(Napi::Env env, InnerBatch batch) {
  return start_task(env, "setInnerBatch", std::make_unique<SetInners>(std::move(batch)));
}

Napi::Value delete_inner_batch(Napi::Env env, InnerBatch batch) {
  return start_task(env, "deleteInnerBatch", std::make_unique<DeleteInners>(std::move(batch)));
}
