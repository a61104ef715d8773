#include "netlink_watch.hh"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <utility>

#include "bytes.hh"
#include "error.hh"
#include "netlink_query.hh"

/// Datagrams per turn of the event loop.
static constexpr int kTurn = 256;

void NetlinkWatch::define(Napi::Env env, Napi::Object exports) {
  exports["NetlinkWatch"] = DefineClass(env, "NetlinkWatch",
                                        {
                                            InstanceMethod<&NetlinkWatch::ref>("ref"),
                                            InstanceMethod<&NetlinkWatch::unref>("unref"),
                                            InstanceMethod<&NetlinkWatch::close>("close"),
                                        });
}

// new NetlinkWatch(onEvents, all namespaces, bytes of receive buffer or 0)
NetlinkWatch::NetlinkWatch(const Napi::CallbackInfo &info) : Napi::ObjectWrap<NetlinkWatch>(info) {
  const Napi::Env env = info.Env();
  on_events_ = Napi::Persistent(info[0].As<Napi::Function>());
  socket_ = std::make_unique<NetlinkSocket>(env);
  if (info[1].As<Napi::Boolean>()) socket_->set_option(env, NETLINK_LISTEN_ALL_NSID, "NETLINK_LISTEN_ALL_NSID");
  if (const int size = int(uint32_of(info[2])); size != 0) {
    checked_errno(env, setsockopt(socket_->fd(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)), "setsockopt",
                  "SO_RCVBUFFORCE");
  }
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  checked_errno(env, bind(socket_->fd(), reinterpret_cast<sockaddr *>(&address), sizeof(address)), "bind", "rtnetlink");
  poll_ = std::make_unique<Poll>(env, socket_->fd(), [this] { deliver(); });
}

/// A link that leaves a namespace for another is gone from the first.
static void add_new_place(Napi::Env env, const nlmsghdr &message, Napi::Object event) {
  const Attributes attributes(message, sizeof(ifinfomsg));
  const auto netns_id = attributes.u32(IFLA_NEW_NETNSID);
  const auto ifindex = attributes.u32(IFLA_NEW_IFINDEX);
  if (!netns_id || !ifindex || int32_t(*netns_id) < 0) return;
  auto place = Napi::Object::New(env);
  place["netnsId"] = Napi::Number::New(env, *netns_id);
  place["ifindex"] = Napi::Number::New(env, *ifindex);
  event["movedTo"] = place;
}

static Napi::Value to_event(Napi::Env env, const nlmsghdr &message) {
  const uint16_t type = message.nlmsg_type;
  const bool is_link = type == RTM_NEWLINK || type == RTM_DELLINK;
  if (!is_link && type != RTM_NEWADDR && type != RTM_DELADDR) return env.Undefined();
  const Napi::Value value = is_link ? link_to_object(env, message) : address_to_object(env, message);
  if (value.IsUndefined()) return value;
  auto event = Napi::Object::New(env);
  event["kind"] = Napi::String::New(env, is_link ? "link" : "address");
  event["removed"] = Napi::Boolean::New(env, type == RTM_DELLINK || type == RTM_DELADDR);
  event[is_link ? "link" : "address"] = value;
  if (type == RTM_DELLINK) add_new_place(env, message, event);
  return event;
}

void NetlinkWatch::deliver() {
  const Napi::Env env = Env();
  auto events = Napi::Array::New(env);
  std::vector<uint8_t> buffer;
  for (int turn = 0; turn < kTurn || overrun_; turn++) {
    std::optional<int> netns_id;
    int left = socket_->receive(buffer, MSG_DONTWAIT, &netns_id);
    if (left == -EINTR) continue;
    if (left == -ENOBUFS) {
      overrun_ = true;
      continue;
    }
    if (left < 0) {
      if (std::exchange(overrun_, false)) {
        auto overflow = Napi::Object::New(env);
        overflow["kind"] = Napi::String::New(env, "overflow");
        events[events.Length()] = overflow;
      }
      break;
    }
    for (auto *message = reinterpret_cast<nlmsghdr *>(buffer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      const Napi::Value event = to_event(env, *message);
      if (event.IsUndefined()) continue;
      if (netns_id) event.As<Napi::Object>()["netnsId"] = Napi::Number::New(env, *netns_id);
      events[events.Length()] = event;
    }
  }
  if (events.Length() > 0) call_from_loop(on_events_, events);
}

void NetlinkWatch::close(const Napi::CallbackInfo &) {
  poll_.reset();
  socket_.reset();
}
