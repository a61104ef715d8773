#include "ring_buffer.hh"

#include "bytes.hh"
#include "error.hh"
#include "map.hh"

/// Records per turn of the event loop: a flood must not starve the rest of the process.
static constexpr size_t kTurn = 1024;

void RingBuffer::define(Napi::Env env, Napi::Object exports) {
  exports["RingBuffer"] = DefineClass(env, "RingBuffer",
                                      {
                                          InstanceMethod<&RingBuffer::consume>("consume"),
                                          InstanceMethod<&RingBuffer::ref>("ref"),
                                          InstanceMethod<&RingBuffer::unref>("unref"),
                                          InstanceMethod<&RingBuffer::close>("close"),
                                      });
}

// new RingBuffer(map, onRecords: (records: Buffer[]) => void)
RingBuffer::RingBuffer(const Napi::CallbackInfo &info) : Napi::ObjectWrap<RingBuffer>(info) {
  const Map &map = Map::unwrap(info[0]);
  on_records_ = Napi::Persistent(info[1].As<Napi::Function>());
  ring_.reset(ring_buffer__new(map.fd(), on_sample, this, nullptr));
  if (!ring_) throw bpf_error(info.Env(), errno, "ring_buffer__new", map.label());
  poll_ = std::make_unique<Poll>(info.Env(), ring_buffer__epoll_fd(ring_.get()), [this] { deliver(); });
}

int RingBuffer::on_sample(void *self, void *data, size_t size) {
  auto &records = static_cast<RingBuffer *>(self)->records_;
  const auto *bytes = static_cast<const uint8_t *>(data);
  records.emplace_back(bytes, bytes + size);
  // A negative number ends the reading after this record; the ring stays readable, so the loop comes back.
  return records.size() < kTurn ? 0 : -ECANCELED;
}

uint32_t RingBuffer::deliver() {
  ring_buffer__consume(ring_.get());
  const auto records = std::exchange(records_, {});
  if (records.empty()) return 0;
  const Napi::Env env = Env();
  auto buffers = Napi::Array::New(env, records.size());
  for (uint32_t i = 0; i < records.size(); i++) buffers[i] = copy_to_buffer(env, records[i].data(), records[i].size());
  call_from_loop(on_records_, buffers);
  return records.size();
}

Napi::Value RingBuffer::consume(const Napi::CallbackInfo &info) { return Napi::Number::New(info.Env(), deliver()); }

void RingBuffer::close(const Napi::CallbackInfo &) {
  poll_.reset();
  ring_.reset();
}
