#include "socket.hh"

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <vector>

#include "bytes.hh"
#include "error.hh"
#include "fd.hh"

namespace {

constexpr size_t kLargestDatagram = 65536;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
  sockaddr *get() { return reinterpret_cast<sockaddr *>(&storage); }
};

// lib/ has checked that the text is an address of that family.
SocketAddress to_address(int family, const std::string &text, uint16_t port) {
  SocketAddress address;
  address.storage.ss_family = family;
  if (family == AF_INET) {
    auto *v4 = reinterpret_cast<sockaddr_in *>(&address.storage);
    v4->sin_port = htons(port);
    inet_pton(AF_INET, text.c_str(), &v4->sin_addr);
    address.size = sizeof(sockaddr_in);
  } else {
    auto *v6 = reinterpret_cast<sockaddr_in6 *>(&address.storage);
    const size_t percent = text.find('%');
    v6->sin6_port = htons(port);
    inet_pton(AF_INET6, text.substr(0, percent).c_str(), &v6->sin6_addr);
    if (percent != std::string::npos) v6->sin6_scope_id = if_nametoindex(text.c_str() + percent + 1);
    address.size = sizeof(sockaddr_in6);
  }
  return address;
}

void put_address(Napi::Env env, Napi::Object &result, const SocketAddress &address) {
  char text[INET6_ADDRSTRLEN] = "";
  uint16_t port = 0;
  if (address.storage.ss_family == AF_INET) {
    const auto *v4 = reinterpret_cast<const sockaddr_in *>(&address.storage);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
    port = ntohs(v4->sin_port);
  } else if (address.storage.ss_family == AF_INET6) {
    const auto *v6 = reinterpret_cast<const sockaddr_in6 *>(&address.storage);
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
    port = ntohs(v6->sin6_port);
  }
  result["address"] = Napi::String::New(env, text);
  result["port"] = Napi::Number::New(env, port);
}

std::string label(int fd) { return "socket " + std::to_string(fd); }

// socketOpen({family, type, protocol, address, port, listen, reuseAddress, reusePort, v6only, mark, device, label})
Napi::Value socket_open(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const auto options = info[0].As<Napi::Object>();
  const auto given = [&options](const char *name) { return !options.Get(name).IsUndefined(); };
  const std::string type_name = string_of(options.Get("type")), name = string_of(options.Get("label"));
  const int family = uint32_of(options.Get("family")) == 4 ? AF_INET : AF_INET6;
  const int type = type_name == "tcp" ? SOCK_STREAM : type_name == "udp" ? SOCK_DGRAM : SOCK_RAW;
  const int protocol = given("protocol") ? int(uint32_of(options.Get("protocol"))) : 0;
  const int made = ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  Fd fd(checked_errno(env, made, "socket", name));

  const auto set = [&](const char *option, int level, int number) {
    if (!given(option)) return;
    const int value = options.Get(option).IsBoolean() ? int(options.Get(option).As<Napi::Boolean>().Value())
                                                      : int(uint32_of(options.Get(option)));
    checked_errno(env, setsockopt(fd.get(), level, number, &value, sizeof(value)), "setsockopt",
                  name + " (" + option + ")");
  };
  set("reuseAddress", SOL_SOCKET, SO_REUSEADDR);
  set("reusePort", SOL_SOCKET, SO_REUSEPORT);
  set("v6only", IPPROTO_IPV6, IPV6_V6ONLY);
  set("mark", SOL_SOCKET, SO_MARK);
  if (given("device")) {
    const std::string device = string_of(options.Get("device"));
    checked_errno(env, setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, device.c_str(), device.size()), "setsockopt",
                  name + " (device " + device + ")");
  }
  if (given("address")) {
    SocketAddress address = to_address(family, string_of(options.Get("address")), uint32_of(options.Get("port")));
    checked_errno(env, bind(fd.get(), address.get(), address.size), "bind", name);
  }
  if (given("listen")) {
    checked_errno(env, listen(fd.get(), int(uint32_of(options.Get("listen")))), "listen", name);
  }
  return Napi::Number::New(env, fd.release());
}

int family_of(Napi::Env env, int fd) {
  int family = 0;
  socklen_t size = sizeof(family);
  checked_errno(env, getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size), "getsockopt", label(fd));
  return family;
}

// socketSend(fd, data, address or undefined, port)
void socket_send(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const int fd = int(uint32_of(info[0]));
  const Bytes data = bytes_of(info[1]);
  ssize_t sent;
  if (info[2].IsUndefined()) {
    sent = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
  } else {
    SocketAddress to = to_address(family_of(env, fd), string_of(info[2]), uint32_of(info[3]));
    sent = sendto(fd, data.data(), data.size(), MSG_NOSIGNAL, to.get(), to.size);
  }
  checked_errno(env, int(sent), "sendto", label(fd));
}

// socketReceive(fd, timeout in milliseconds)
Napi::Value socket_receive(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const int fd = int(uint32_of(info[0]));
  if (!wait_readable(env, fd, int(uint32_of(info[1])), label(fd))) return env.Undefined();
  std::vector<uint8_t> data(kLargestDatagram);
  SocketAddress from;
  const ssize_t size = recvfrom(fd, data.data(), data.size(), MSG_DONTWAIT, from.get(), &from.size);
  if (size < 0 && errno == EAGAIN) return env.Undefined(); // dropped for its checksum
  checked_errno(env, int(size), "recvfrom", label(fd));
  auto result = Napi::Object::New(env);
  result["data"] = copy_to_buffer(env, data.data(), size);
  put_address(env, result, from);
  return result;
}

Napi::Value socket_local_address(const Napi::CallbackInfo &info) {
  const int fd = int(uint32_of(info[0]));
  SocketAddress address;
  checked_errno(info.Env(), getsockname(fd, address.get(), &address.size), "getsockname", label(fd));
  auto result = Napi::Object::New(info.Env());
  put_address(info.Env(), result, address);
  return result;
}

void socket_close(const Napi::CallbackInfo &info) {
  const int fd = int(uint32_of(info[0]));
  checked_errno(info.Env(), ::close(fd), "close", label(fd));
}

} // namespace

bool wait_readable(Napi::Env env, int fd, int timeout_ms, const std::string &label) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
    const int result = poll(&wait, 1, int(std::max<int64_t>(left, 0)));
    if (result < 0 && errno == EINTR) continue;
    return checked_errno(env, result, "poll", label) > 0;
  }
}

void define_socket(Napi::Env env, Napi::Object exports) {
  exports["socketOpen"] = Napi::Function::New(env, socket_open);
  exports["socketSend"] = Napi::Function::New(env, socket_send);
  exports["socketReceive"] = Napi::Function::New(env, socket_receive);
  exports["socketLocalAddress"] = Napi::Function::New(env, socket_local_address);
  exports["socketClose"] = Napi::Function::New(env, socket_close);
}
