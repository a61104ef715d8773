// One BPF map: elements, batches, memory mapping, pins.
#pragma once

#include <bpf/bpf.h>
#include <napi.h>

#include <vector>

#include "bytes.hh"
#include "fd.hh"
#include "inner_batch.hh"

class Map : public Napi::ObjectWrap<Map> {
public:
  struct Init {
    Fd fd;
    std::string name; // empty: the kernel's
  };
  static void define(Napi::Env env, Napi::Object exports);
  static Napi::Object make(Napi::Env env, Fd fd, std::string name);
  static Map &unwrap(const Napi::Value &value) { return *Napi::ObjectWrap<Map>::Unwrap(value.As<Napi::Object>()); }
  explicit Map(const Napi::CallbackInfo &info);

  int fd() const { return fd_.get(); }
  const std::string &label() const { return label_; }

private:
  static Napi::Value create(const Napi::CallbackInfo &info);
  static Napi::Value open_pinned(const Napi::CallbackInfo &info);
  static Napi::Value from_id(const Napi::CallbackInfo &info);

  Napi::Value info(const Napi::CallbackInfo &info);
  Napi::Value get(const Napi::CallbackInfo &info);
  void set(const Napi::CallbackInfo &info);
  Napi::Value remove(const Napi::CallbackInfo &info);
  Napi::Value keys(const Napi::CallbackInfo &info);
  Napi::Value entries(const Napi::CallbackInfo &info);
  void set_batch(const Napi::CallbackInfo &info);
  Napi::Value delete_batch(const Napi::CallbackInfo &info);
  void set_inner(const Napi::CallbackInfo &info);
  Napi::Value set_inner_batch(const Napi::CallbackInfo &info);
  Napi::Value delete_inner_batch(const Napi::CallbackInfo &info);
  Napi::Value get_inner(const Napi::CallbackInfo &info);
  Napi::Value mmap(const Napi::CallbackInfo &info);
  void pin(const Napi::CallbackInfo &info);
  void close(const Napi::CallbackInfo &info);

  Fd duplicate(Napi::Env env) const;
  InnerBatch inner_batch(Napi::Env env, const Napi::Value &keys, uint32_t count) const;

  Fd fd_;
  bpf_map_info info_{};
  std::string name_, label_; // label: the name as error messages have it
};
