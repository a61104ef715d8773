#include "mapped_map.hh"

#include <sys/mman.h>

#include <cassert>

#include "addon.hh"
#include "bytes.hh"

void MappedMap::define(Napi::Env env, Napi::Object exports) {
  const Napi::Function constructor = DefineClass(env, "MappedMap",
                                                 {
                                                     InstanceMethod<&MappedMap::size>("size"),
                                                     InstanceMethod<&MappedMap::load64>("load64"),
                                                     InstanceMethod<&MappedMap::store64>("store64"),
                                                     InstanceMethod<&MappedMap::load32>("load32"),
                                                     InstanceMethod<&MappedMap::store32>("store32"),
                                                     InstanceMethod<&MappedMap::read>("read"),
                                                     InstanceMethod<&MappedMap::close>("close"),
                                                 });
  Addon::of(env).mapped_map_class = Napi::Persistent(constructor);
  exports["MappedMap"] = constructor;
}

MappedMap::MappedMap(const Napi::CallbackInfo &info) : Napi::ObjectWrap<MappedMap>(info) {
  const auto &init = construction_argument<Init>(info);
  memory_ = static_cast<uint8_t *>(init.memory);
  used_ = init.used;
  mapped_ = init.mapped;
}

void MappedMap::unmap() {
  if (memory_ != nullptr) munmap(std::exchange(memory_, nullptr), mapped_);
}

template <class Word> Word *MappedMap::at(const Napi::Value &offset) {
  const size_t start = uint32_of(offset);
  assert(memory_ != nullptr && start % sizeof(Word) == 0 && start + sizeof(Word) <= used_);
  return reinterpret_cast<Word *>(memory_ + start);
}

Napi::Value MappedMap::size(const Napi::CallbackInfo &info) { return Napi::Number::New(info.Env(), used_); }

Napi::Value MappedMap::load64(const Napi::CallbackInfo &info) {
  return Napi::BigInt::New(info.Env(), __atomic_load_n(at<uint64_t>(info[0]), __ATOMIC_ACQUIRE));
}

void MappedMap::store64(const Napi::CallbackInfo &info) {
  bool lossless = false;
  const uint64_t value = info[1].As<Napi::BigInt>().Uint64Value(&lossless);
  __atomic_store_n(at<uint64_t>(info[0]), value, __ATOMIC_RELEASE);
}

Napi::Value MappedMap::load32(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), __atomic_load_n(at<uint32_t>(info[0]), __ATOMIC_ACQUIRE));
}

void MappedMap::store32(const Napi::CallbackInfo &info) {
  __atomic_store_n(at<uint32_t>(info[0]), uint32_of(info[1]), __ATOMIC_RELEASE);
}

// read(offset, length)
Napi::Value MappedMap::read(const Napi::CallbackInfo &info) {
  const size_t start = uint32_of(info[0]), length = uint32_of(info[1]);
  assert(memory_ != nullptr && start + length <= used_);
  return copy_to_buffer(info.Env(), memory_ + start, length);
}
