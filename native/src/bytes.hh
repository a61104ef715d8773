// Uint8Arrays of JavaScript as spans of bytes; lib/ has checked their types and sizes.
#pragma once

#include <napi.h>

#include <cassert>
#include <cstdint>
#include <span>

using Bytes = std::span<uint8_t>;

inline Bytes bytes_of(const Napi::Value &value) {
  assert(value.IsTypedArray());
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

inline Napi::Buffer<uint8_t> copy_to_buffer(Napi::Env env, const void *data, size_t size) {
  return Napi::Buffer<uint8_t>::Copy(env, static_cast<const uint8_t *>(data), size);
}

inline uint32_t uint32_of(const Napi::Value &value) {
  assert(value.IsNumber());
  return value.As<Napi::Number>().Uint32Value();
}

inline std::string string_of(const Napi::Value &value) {
  assert(value.IsString());
  return value.As<Napi::String>().Utf8Value();
}
