// Changes of links and addresses as events.
#pragma once

#include <napi.h>

#include <memory>

#include "netlink_socket.hh"
#include "poll.hh"

class NetlinkWatch : public Napi::ObjectWrap<NetlinkWatch> {
public:
  static void define(Napi::Env env, Napi::Object exports);
  explicit NetlinkWatch(const Napi::CallbackInfo &info);

private:
  void ref(const Napi::CallbackInfo &) { poll_->ref(); }
  void unref(const Napi::CallbackInfo &) { poll_->unref(); }
  void close(const Napi::CallbackInfo &info);

  void deliver();

  Napi::FunctionReference on_events_;
  std::unique_ptr<NetlinkSocket> socket_;
  std::unique_ptr<Poll> poll_;
  /// The kernel dropped events, and goes on doing so without a word until its queue has been empty once.
  bool overrun_ = false;
};
