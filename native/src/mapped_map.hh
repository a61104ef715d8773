// A map's memory in this process.
#pragma once

#include <napi.h>

class MappedMap : public Napi::ObjectWrap<MappedMap> {
public:
  struct Init {
    void *memory;
    size_t used, mapped; // bytes
  };
  static void define(Napi::Env env, Napi::Object exports);
  explicit MappedMap(const Napi::CallbackInfo &info);
  ~MappedMap() override { unmap(); }

private:
  Napi::Value size(const Napi::CallbackInfo &info);
  Napi::Value load64(const Napi::CallbackInfo &info);
  void store64(const Napi::CallbackInfo &info);
  Napi::Value load32(const Napi::CallbackInfo &info);
  void store32(const Napi::CallbackInfo &info);
  Napi::Value read(const Napi::CallbackInfo &info);
  void close(const Napi::CallbackInfo &) { unmap(); }

  template <class Word> Word *at(const Napi::Value &offset);
  void unmap();

  uint8_t *memory_;
  size_t used_, mapped_;
};
