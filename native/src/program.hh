// One loaded BPF program: test runs, its instructions, pins.
#pragma once

#include <napi.h>

#include "bytes.hh"
#include "fd.hh"

class Program : public Napi::ObjectWrap<Program> {
public:
  struct Init {
    Fd fd;
    std::string name; // empty: the kernel's
  };
  static void define(Napi::Env env, Napi::Object exports);
  static Napi::Object make(Napi::Env env, Fd fd, std::string name);
  static Program &unwrap(const Napi::Value &value) {
    return *Napi::ObjectWrap<Program>::Unwrap(value.As<Napi::Object>());
  }
  explicit Program(const Napi::CallbackInfo &info);

  int fd() const { return fd_.get(); }
  const std::string &label() const { return label_; }

private:
  static Napi::Value open_pinned(const Napi::CallbackInfo &info);
  static Napi::Value from_id(const Napi::CallbackInfo &info);

  Napi::Value info(const Napi::CallbackInfo &info);
  Napi::Value test_run(const Napi::CallbackInfo &info);
  Napi::Value xlated(const Napi::CallbackInfo &info);
  void pin(const Napi::CallbackInfo &info);
  void close(const Napi::CallbackInfo &info);

  Fd fd_;
  std::string name_, label_;
};
