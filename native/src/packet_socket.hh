// Raw frames of one interface.
#pragma once

#include <napi.h>

#include <memory>

#include "fd.hh"
#include "poll.hh"

class PacketSocket : public Napi::ObjectWrap<PacketSocket> {
public:
  static void define(Napi::Env env, Napi::Object exports);
  explicit PacketSocket(const Napi::CallbackInfo &info);

private:
  void send(const Napi::CallbackInfo &info);
  Napi::Value receive(const Napi::CallbackInfo &info);
  void ref(const Napi::CallbackInfo &);
  void unref(const Napi::CallbackInfo &);
  void close(const Napi::CallbackInfo &info);

  Napi::Value next_frame();
  void deliver();

  Fd fd_;
  std::string label_;
  Napi::FunctionReference on_frames_;
  std::unique_ptr<Poll> poll_;
};
