#include "netlink_socket.hh"

#include <sys/socket.h>

#include <cstring>

#include "error.hh"

static constexpr int kDumpAttempts = 20;

Attributes::Attributes(std::span<const uint8_t> bytes) : bytes_(bytes) {}

Attributes::Attributes(const nlmsghdr &message, size_t header_size) {
  const size_t start = NLMSG_HDRLEN + NLMSG_ALIGN(header_size);
  const auto *bytes = reinterpret_cast<const uint8_t *>(&message);
  if (message.nlmsg_len > start) bytes_ = {bytes + start, message.nlmsg_len - start};
}

std::span<const uint8_t> Attributes::bytes(uint16_t type) const {
  auto rest = bytes_;
  while (rest.size() >= sizeof(rtattr)) {
    rtattr attribute;
    std::memcpy(&attribute, rest.data(), sizeof(attribute));
    if (attribute.rta_len < sizeof(rtattr) || attribute.rta_len > rest.size()) break;
    if ((attribute.rta_type & NLA_TYPE_MASK) == type) {
      return rest.subspan(RTA_LENGTH(0), attribute.rta_len - RTA_LENGTH(0));
    }
    rest = rest.subspan(std::min<size_t>(RTA_ALIGN(attribute.rta_len), rest.size()));
  }
  return {};
}

std::optional<uint32_t> Attributes::u32(uint16_t type) const {
  const auto found = bytes(type);
  if (found.size() < sizeof(uint32_t)) return std::nullopt;
  uint32_t value;
  std::memcpy(&value, found.data(), sizeof(value));
  return value;
}

std::string Attributes::text(uint16_t type) const {
  const auto found = bytes(type);
  const auto *start = reinterpret_cast<const char *>(found.data());
  return start ? std::string(start, strnlen(start, found.size())) : std::string();
}

NetlinkRequest::NetlinkRequest(uint16_t type, const char *name, size_t header_size)
    : bytes_(NLMSG_SPACE(header_size)), name_(name) {
  message()->nlmsg_type = type;
  message()->nlmsg_len = bytes_.size();
}

void NetlinkRequest::add(uint16_t type, uint32_t value) {
  const size_t start = bytes_.size();
  bytes_.resize(start + RTA_SPACE(sizeof(value)));
  const rtattr attribute{.rta_len = RTA_LENGTH(sizeof(value)), .rta_type = type};
  std::memcpy(bytes_.data() + start, &attribute, sizeof(attribute));
  std::memcpy(bytes_.data() + start + RTA_LENGTH(0), &value, sizeof(value));
  message()->nlmsg_len = bytes_.size();
}

NetlinkSocket::NetlinkSocket(Napi::Env env) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  fd_ = Fd(checked_errno(env, fd, "socket", "rtnetlink"));
  // Strict checking makes the kernel honour a dump's filters, above all the namespace id, rather than ignore them.
  set_option(env, NETLINK_GET_STRICT_CHK, "NETLINK_GET_STRICT_CHK");
}

void NetlinkSocket::set_option(Napi::Env env, int option, const char *name) {
  const int on = 1;
  checked_errno(env, setsockopt(fd(), SOL_NETLINK, option, &on, sizeof(on)), "setsockopt", name);
}

void NetlinkSocket::send(Napi::Env env, NetlinkRequest &request, uint16_t flags) {
  request.message()->nlmsg_flags = NLM_F_REQUEST | flags;
  request.message()->nlmsg_seq = ++sequence_;
  const ssize_t sent = ::send(fd(), request.message(), request.message()->nlmsg_len, 0);
  checked_errno(env, int(sent), "send", request.name());
}

int NetlinkSocket::receive(std::vector<uint8_t> &buffer, int flags, std::optional<int> *netns_id) {
  const ssize_t size = recv(fd(), nullptr, 0, MSG_PEEK | MSG_TRUNC | flags);
  if (size < 0) return -errno;
  buffer.resize(std::max<size_t>(size, sizeof(nlmsghdr)));
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  iovec vector{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t received = recvmsg(fd(), &message, flags);
  if (received < 0) return -errno;
  const cmsghdr *extra = CMSG_FIRSTHDR(&message);
  if (netns_id != nullptr && extra && extra->cmsg_level == SOL_NETLINK && extra->cmsg_type == NETLINK_LISTEN_ALL_NSID) {
    int id;
    std::memcpy(&id, CMSG_DATA(extra), sizeof(id));
    *netns_id = id;
  }
  return int(received);
}

int NetlinkSocket::dump_once(NetlinkRequest &request, const std::function<void(const nlmsghdr &)> &each,
                             Outcome &outcome) {
  std::vector<uint8_t> buffer;
  outcome = Outcome::kDone;
  for (;;) {
    int left = receive(buffer, 0);
    if (left < 0) return left;
    for (auto *message = reinterpret_cast<nlmsghdr *>(buffer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_seq != request.message()->nlmsg_seq) continue;
      if (message->nlmsg_flags & NLM_F_DUMP_INTR) outcome = Outcome::kInterrupted;
      if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
        // Both begin with an error number, 0 when all went well.
        int error = 0;
        if (message->nlmsg_len >= NLMSG_LENGTH(sizeof(error))) std::memcpy(&error, NLMSG_DATA(message), sizeof(error));
        return error;
      }
      each(*message);
    }
  }
}

void NetlinkSocket::dump(Napi::Env env, NetlinkRequest &request, const std::string &object,
                         const std::function<void()> &restart, const std::function<void(const nlmsghdr &)> &each) {
  for (int attempt = 0; attempt < kDumpAttempts; attempt++) {
    restart();
    send(env, request, NLM_F_DUMP);
    Outcome outcome;
    const int result = dump_once(request, each, outcome);
    if (outcome == Outcome::kInterrupted || result == -EBUSY || result == -EINTR) continue;
    checked(env, result, request.name(), object);
    return;
  }
  throw bpf_error(env, EAGAIN, request.name(), object + " (it changes all the time)");
}

int NetlinkSocket::ask(Napi::Env env, NetlinkRequest &request, const std::function<void(const nlmsghdr &)> &answer) {
  send(env, request, NLM_F_ACK);
  Outcome outcome;
  return dump_once(request, answer, outcome); // the acknowledgement ends it as NLMSG_DONE ends a dump
}
