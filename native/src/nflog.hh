// Packets that rules of netfilter copy to a group of NFLOG, as events.
#pragma once

#include <linux/netlink.h>
#include <napi.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fd.hh"
#include "poll.hh"

class NflogReader : public Napi::ObjectWrap<NflogReader> {
public:
  static void define(Napi::Env env, Napi::Object exports);
  explicit NflogReader(const Napi::CallbackInfo &info);

private:
  void ref(const Napi::CallbackInfo &) { poll_->ref(); }
  void unref(const Napi::CallbackInfo &) { poll_->unref(); }
  void close(const Napi::CallbackInfo &info);

  /// Sends one setting of the group and waits for the kernel's word on it.
  void configure(Napi::Env env, uint16_t group, uint16_t type, const void *value, size_t size, const char *name);
  void deliver();
  Napi::Value to_packet(const nlmsghdr &message);
  uint32_t lost_before(std::optional<uint32_t> sequence);

  std::string label_;
  Napi::FunctionReference on_packets_;
  Fd fd_;
  std::unique_ptr<Poll> poll_;
  std::vector<uint8_t> buffer_;
  std::optional<uint32_t> next_;
};
