#include "netlink_query.hh"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <cstring>

#include "bytes.hh"
#include "error.hh"
#include "netlink_socket.hh"

static std::string mac_text(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    if (!text.empty()) text += ':';
    text += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return text;
}

Napi::Value link_to_object(Napi::Env env, const nlmsghdr &message) {
  const auto *header = static_cast<const ifinfomsg *>(NLMSG_DATA(&message));
  // A bridge reports its ports' states in the same kind of message; a port that leaves it is not a link that is gone.
  if (header->ifi_family == AF_BRIDGE) return env.Undefined();
  const Attributes attributes(message, sizeof(ifinfomsg));
  // Every whole description has it; news of wireless devices, say, come with a name and nothing else.
  if (!attributes.u32(IFLA_MTU)) return env.Undefined();
  auto link = Napi::Object::New(env);
  const auto optional = [&](const char *name, std::optional<uint32_t> value) {
    if (value) link[name] = Napi::Number::New(env, int32_t(*value));
  };
  link["ifindex"] = Napi::Number::New(env, header->ifi_index);
  link["name"] = Napi::String::New(env, attributes.text(IFLA_IFNAME));
  const std::string kind = attributes.nested(IFLA_LINKINFO).text(IFLA_INFO_KIND);
  if (!kind.empty()) link["kind"] = Napi::String::New(env, kind);
  optional("master", attributes.u32(IFLA_MASTER));
  optional("peerIndex", attributes.u32(IFLA_LINK));
  optional("peerNetnsId", attributes.u32(IFLA_LINK_NETNSID));
  const auto mac = attributes.bytes(IFLA_ADDRESS);
  if (!mac.empty()) link["mac"] = Napi::String::New(env, mac_text(mac));
  link["mtu"] = Napi::Number::New(env, attributes.u32(IFLA_MTU).value_or(0));
  link["up"] = Napi::Boolean::New(env, header->ifi_flags & IFF_UP);
  link["running"] = Napi::Boolean::New(env, header->ifi_flags & IFF_RUNNING);
  link["loopback"] = Napi::Boolean::New(env, header->ifi_flags & IFF_LOOPBACK);
  link["flags"] = Napi::Number::New(env, header->ifi_flags);
  return link;
}

static Napi::Value scope_name(Napi::Env env, uint8_t scope) {
  switch (scope) {
  case RT_SCOPE_UNIVERSE:
    return Napi::String::New(env, "global");
  case RT_SCOPE_SITE:
    return Napi::String::New(env, "site");
  case RT_SCOPE_LINK:
    return Napi::String::New(env, "link");
  case RT_SCOPE_HOST:
    return Napi::String::New(env, "host");
  case RT_SCOPE_NOWHERE:
    return Napi::String::New(env, "nowhere");
  default:
    return Napi::Number::New(env, scope);
  }
}

Napi::Value address_to_object(Napi::Env env, const nlmsghdr &message) {
  const auto *header = static_cast<const ifaddrmsg *>(NLMSG_DATA(&message));
  if (header->ifa_family != AF_INET && header->ifa_family != AF_INET6) return env.Undefined();
  const Attributes attributes(message, sizeof(ifaddrmsg));
  auto bytes = attributes.bytes(IFA_LOCAL); // where there is a peer, IFA_ADDRESS is the peer's
  if (bytes.empty()) bytes = attributes.bytes(IFA_ADDRESS);
  char text[INET6_ADDRSTRLEN] = "";
  if (bytes.size() >= (header->ifa_family == AF_INET ? 4u : 16u)) {
    inet_ntop(header->ifa_family, bytes.data(), text, sizeof(text));
  }
  auto address = Napi::Object::New(env);
  address["ifindex"] = Napi::Number::New(env, header->ifa_index);
  address["family"] = Napi::Number::New(env, header->ifa_family == AF_INET ? 4 : 6);
  address["address"] = Napi::String::New(env, text);
  address["prefixLength"] = Napi::Number::New(env, header->ifa_prefixlen);
  address["scope"] = scope_name(env, header->ifa_scope);
  address["flags"] = Napi::Number::New(env, attributes.u32(IFA_FLAGS).value_or(header->ifa_flags));
  return address;
}

static std::string namespace_label(const Napi::Value &id) {
  return id.IsUndefined() ? "this network namespace" : "network namespace with id " + id.ToString().Utf8Value();
}

using Converter = Napi::Value(const nlmsghdr &);

/// Puts what a dump gives behind what is in `result`; undefined is left out.
static void append(const Napi::CallbackInfo &info, NetlinkRequest &request, Napi::Array result,
                   const std::function<Converter> &convert) {
  const Napi::Env env = info.Env();
  const uint32_t kept = result.Length();
  NetlinkSocket socket(env);
  socket.dump(
      env, request, namespace_label(info[0]), [&] { result["length"] = Napi::Number::New(env, kept); },
      [&](const nlmsghdr &message) {
        const Napi::Value value = convert(message);
        if (!value.IsUndefined()) result[result.Length()] = value;
      });
}

// links(namespace id or undefined)
static Napi::Value links(const Napi::CallbackInfo &info) {
  NetlinkRequest request(RTM_GETLINK, "RTM_GETLINK", sizeof(ifinfomsg));
  request.add(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  if (info[0].IsNumber()) request.add(IFLA_TARGET_NETNSID, uint32_of(info[0]));
  auto result = Napi::Array::New(info.Env());
  append(info, request, result, [&](const nlmsghdr &message) { return link_to_object(info.Env(), message); });
  return result;
}

// addresses(namespace id or undefined)
static Napi::Value addresses(const Napi::CallbackInfo &info) {
  auto result = Napi::Array::New(info.Env());
  // Asked for all families at once, the kernel answers under its network lock; for one, since 6.9, without.
  for (const uint8_t family : {AF_INET, AF_INET6}) {
    NetlinkRequest request(RTM_GETADDR, "RTM_GETADDR", sizeof(ifaddrmsg));
    request.header<ifaddrmsg>()->ifa_family = family;
    if (info[0].IsNumber()) request.add(IFA_TARGET_NETNSID, uint32_of(info[0]));
    append(info, request, result, [&](const nlmsghdr &message) -> Napi::Value {
      // A kernel without IPv6 answers that question as if it had been asked for all.
      if (static_cast<const ifaddrmsg *>(NLMSG_DATA(&message))->ifa_family != family) return info.Env().Undefined();
      return address_to_object(info.Env(), message);
    });
  }
  return result;
}

static std::optional<int> read_netns_id(Napi::Env env, NetlinkSocket &socket, int fd, const std::string &path) {
  std::optional<int> id;
  NetlinkRequest request(RTM_GETNSID, "RTM_GETNSID", sizeof(rtgenmsg));
  request.add(NETNSA_FD, fd);
  const int result = socket.ask(env, request, [&id](const nlmsghdr &message) {
    const auto found = Attributes(message, sizeof(rtgenmsg)).u32(NETNSA_NSID);
    if (found && int32_t(*found) >= 0) id = int32_t(*found);
  });
  checked(env, result, "RTM_GETNSID", "network namespace " + path);
  return id;
}

// netnsId(path, assign)
static Napi::Value netns_id(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const std::string path = string_of(info[0]);
  const int opened = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const Fd fd(checked_errno(env, opened, "open", "network namespace " + path));
  NetlinkSocket socket(env);
  auto id = read_netns_id(env, socket, fd.get(), path);
  if (!id && info[1].As<Napi::Boolean>()) {
    NetlinkRequest request(RTM_NEWNSID, "RTM_NEWNSID", sizeof(rtgenmsg));
    request.add(NETNSA_FD, fd.get());
    request.add(NETNSA_NSID, uint32_t(-1)); // any
    const int result = socket.ask(env, request, [](const nlmsghdr &) {});
    if (result != -EEXIST) checked(env, result, "RTM_NEWNSID", "network namespace " + path);
    id = read_netns_id(env, socket, fd.get(), path);
  }
  if (!id) return env.Undefined();
  return Napi::Number::New(env, *id);
}

void define_netlink_query(Napi::Env env, Napi::Object exports) {
  exports["links"] = Napi::Function::New(env, links);
  exports["addresses"] = Napi::Function::New(env, addresses);
  exports["netnsId"] = Napi::Function::New(env, netns_id);
}
