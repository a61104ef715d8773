// A program attached to one direction of an interface, by a tcx link or a clsact filter.
#pragma once

#include <napi.h>

#include "clsact.hh"
#include "fd.hh"

class TcLink : public Napi::ObjectWrap<TcLink> {
public:
  struct Init {
    Fd link;           // tcx
    ClsactPlace place; // clsact
    Fd netns;          // clsact: where the place is
    std::string label;
  };
  static void define(Napi::Env env, Napi::Object exports);
  explicit TcLink(const Napi::CallbackInfo &info);

private:
  static Napi::Value attach_tcx(const Napi::CallbackInfo &info);
  static Napi::Value attach_clsact(const Napi::CallbackInfo &info);
  static Napi::Value attach_in_background(const Napi::CallbackInfo &info);
  static Napi::Value open_pinned(const Napi::CallbackInfo &info);
  static Napi::Value open_clsact(const Napi::CallbackInfo &info);
  static Napi::Value detach_clsact(const Napi::CallbackInfo &info);
  static Napi::Value list(const Napi::CallbackInfo &info);

  Napi::Value info(const Napi::CallbackInfo &info);
  void pin(const Napi::CallbackInfo &info);
  void update(const Napi::CallbackInfo &info);
  void detach(const Napi::CallbackInfo &info);
  void close(const Napi::CallbackInfo &info);

  bool is_tcx() const { return link_.valid(); }

  Fd link_;
  ClsactPlace place_{};
  Fd netns_;
  std::string label_;
};
