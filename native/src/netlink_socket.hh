// A rtnetlink socket in the namespace of its making: requests, dumps, and reading attributes.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <napi.h>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fd.hh"

/// The attributes of a message or of a nested attribute, by type. Views into the message.
class Attributes {
public:
  Attributes(const nlmsghdr &message, size_t header_size);
  explicit Attributes(std::span<const uint8_t> bytes);

  std::span<const uint8_t> bytes(uint16_t type) const;
  std::optional<uint32_t> u32(uint16_t type) const;
  /// Up to its NUL; '' where absent.
  std::string text(uint16_t type) const;
  Attributes nested(uint16_t type) const { return Attributes(bytes(type)); }

private:
  std::span<const uint8_t> bytes_;
};

class NetlinkRequest {
public:
  /// `name` is that of `type`, for errors.
  NetlinkRequest(uint16_t type, const char *name, size_t header_size);
  template <class Header> Header *header() { return static_cast<Header *>(NLMSG_DATA(message())); }
  void add(uint16_t type, uint32_t value);

  nlmsghdr *message() { return reinterpret_cast<nlmsghdr *>(bytes_.data()); }
  const char *name() const { return name_; }

private:
  std::vector<uint8_t> bytes_;
  const char *name_;
};

class NetlinkSocket {
public:
  explicit NetlinkSocket(Napi::Env env);

  int fd() const { return fd_.get(); }
  void set_option(Napi::Env env, int option, const char *name);

  /// Collects a whole table. `restart` is called when the kernel found its table changed meanwhile and starts over.
  void dump(Napi::Env env, NetlinkRequest &request, const std::string &object, const std::function<void()> &restart,
            const std::function<void(const nlmsghdr &)> &each);
  /// One request with at most one answer. Returns 0 or a negative error number.
  int ask(Napi::Env env, NetlinkRequest &request, const std::function<void(const nlmsghdr &)> &answer);

  /// The next datagram into `buffer`. Returns its bytes, or a negative error number (-EAGAIN: none now).
  /// `netns_id` is set for one from another namespace.
  int receive(std::vector<uint8_t> &buffer, int flags, std::optional<int> *netns_id = nullptr);

private:
  enum class Outcome { kDone, kInterrupted };
  void send(Napi::Env env, NetlinkRequest &request, uint16_t flags);
  int dump_once(NetlinkRequest &request, const std::function<void(const nlmsghdr &)> &each, Outcome &outcome);

  Fd fd_;
  uint32_t sequence_ = 0;
};
