// Reads a ring buffer map whenever the kernel says that there is something in it.
#pragma once

#include <bpf/libbpf.h>
#include <napi.h>

#include <memory>
#include <vector>

#include "poll.hh"

class RingBuffer : public Napi::ObjectWrap<RingBuffer> {
public:
  static void define(Napi::Env env, Napi::Object exports);
  explicit RingBuffer(const Napi::CallbackInfo &info);

private:
  struct Free {
    void operator()(ring_buffer *ring) const { ring_buffer__free(ring); }
  };
  static int on_sample(void *self, void *data, size_t size);

  Napi::Value consume(const Napi::CallbackInfo &info);
  void ref(const Napi::CallbackInfo &) { poll_->ref(); }
  void unref(const Napi::CallbackInfo &) { poll_->unref(); }
  void close(const Napi::CallbackInfo &info);

  uint32_t deliver();

  Napi::FunctionReference on_records_;
  std::vector<std::vector<uint8_t>> records_;
  std::unique_ptr<ring_buffer, Free> ring_;
  std::unique_ptr<Poll> poll_;
};
