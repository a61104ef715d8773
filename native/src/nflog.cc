#include "nflog.hh"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>

#include "bytes.hh"
#include "error.hh"
#include "netlink_socket.hh"

/// Datagrams per turn of the event loop; each holds up to kTogether packets.
static constexpr int kTurn = 64;
static constexpr uint32_t kTogether = 32;
/// Hundredths of a second for which the kernel gathers packets.
static constexpr uint32_t kGather = 5;
/// A datagram is at most as long as the kernel's buffer for it, and that as a page or the longest packet.
static constexpr size_t kDatagram = 128 * 1024;

void NflogReader::define(Napi::Env env, Napi::Object exports) {
  exports["NflogReader"] = DefineClass(env, "NflogReader",
                                       {
                                           InstanceMethod<&NflogReader::ref>("ref"),
                                           InstanceMethod<&NflogReader::unref>("unref"),
                                           InstanceMethod<&NflogReader::close>("close"),
                                       });
}

// new NflogReader(group, bytes of each packet, bytes of receive buffer or 0, onPackets)
NflogReader::NflogReader(const Napi::CallbackInfo &info) : Napi::ObjectWrap<NflogReader>(info) {
  const Napi::Env env = info.Env();
  const auto group = uint16_t(uint32_of(info[0]));
  label_ = "NFLOG group " + std::to_string(group);
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
  fd_ = Fd(checked_errno(env, fd, "socket", label_));
  if (const int size = int(uint32_of(info[2])); size != 0) {
    checked_errno(env, setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)), "setsockopt",
                  "SO_RCVBUFFORCE");
  }
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  checked_errno(env, bind(fd_.get(), reinterpret_cast<sockaddr *>(&address), sizeof(address)), "bind", label_);
  buffer_.resize(kDatagram);

  const nfulnl_msg_config_cmd command{.command = NFULNL_CFG_CMD_BIND};
  configure(env, group, NFULA_CFG_CMD, &command, sizeof(command), "NFULNL_CFG_CMD_BIND");
  nfulnl_msg_config_mode mode{};
  mode.copy_mode = NFULNL_COPY_PACKET;
  mode.copy_range = htonl(uint32_of(info[1]));
  configure(env, group, NFULA_CFG_MODE, &mode, sizeof(mode), "NFULNL_COPY_PACKET");
  const uint16_t flags = htons(NFULNL_CFG_F_SEQ);
  configure(env, group, NFULA_CFG_FLAGS, &flags, sizeof(flags), "NFULNL_CFG_F_SEQ");
  const uint32_t together = htonl(kTogether);
  configure(env, group, NFULA_CFG_QTHRESH, &together, sizeof(together), "NFULA_CFG_QTHRESH");
  const uint32_t gather = htonl(kGather);
  configure(env, group, NFULA_CFG_TIMEOUT, &gather, sizeof(gather), "NFULA_CFG_TIMEOUT");

  on_packets_ = Napi::Persistent(info[3].As<Napi::Function>());
  poll_ = std::make_unique<Poll>(env, fd_.get(), [this] { deliver(); });
}

void NflogReader::configure(Napi::Env env, uint16_t group, uint16_t type, const void *value, size_t size,
                            const char *name) {
  alignas(nlmsghdr) uint8_t request[NLMSG_SPACE(sizeof(nfgenmsg)) + RTA_SPACE(sizeof(nfulnl_msg_config_mode))]{};
  const size_t start = NLMSG_SPACE(sizeof(nfgenmsg));
  const nlmsghdr header{.nlmsg_len = uint32_t(start + RTA_LENGTH(size)),
                        .nlmsg_type = (NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_CONFIG,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
                        .nlmsg_seq = type,
                        .nlmsg_pid = 0};
  const nfgenmsg about{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(group)};
  const rtattr attribute{.rta_len = uint16_t(RTA_LENGTH(size)), .rta_type = type};
  std::memcpy(request, &header, sizeof(header));
  std::memcpy(request + NLMSG_HDRLEN, &about, sizeof(about));
  std::memcpy(request + start, &attribute, sizeof(attribute));
  std::memcpy(request + start + RTA_LENGTH(0), value, size);
  checked_errno(env, int(::send(fd_.get(), request, header.nlmsg_len, 0)), name, label_);
  // Packets may come before the answer to a later setting; those are the group's first, and nobody waits for them yet.
  for (;;) {
    pollfd readable{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    ::poll(&readable, 1, -1);
    const ssize_t received = recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (received < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOBUFS)) continue;
    int left = int(checked_errno(env, int(received), name, label_));
    for (auto *message = reinterpret_cast<nlmsghdr *>(buffer_.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type != NLMSG_ERROR || message->nlmsg_seq != type) continue;
      const auto *answer = static_cast<const nlmsgerr *>(NLMSG_DATA(message));
      checked(env, answer->error, name, label_);
      return;
    }
  }
}

/// The kernel numbers what it hands out; what is missing had no room in the socket.
uint32_t NflogReader::lost_before(std::optional<uint32_t> sequence) {
  if (!sequence) return 0;
  const uint32_t lost = next_ ? *sequence - *next_ : 0;
  next_ = *sequence + 1;
  return lost;
}

static std::optional<uint32_t> number(const Attributes &attributes, uint16_t type) {
  const auto value = attributes.u32(type);
  return value ? std::optional(ntohl(*value)) : std::nullopt;
}

Napi::Value NflogReader::to_packet(const nlmsghdr &message) {
  const Napi::Env env = Env();
  if (message.nlmsg_type != ((NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_PACKET)) return env.Undefined();
  const Attributes attributes(message, sizeof(nfgenmsg));
  auto packet = Napi::Object::New(env);
  packet["family"] = Napi::Number::New(env, static_cast<const nfgenmsg *>(NLMSG_DATA(&message))->nfgen_family);
  nfulnl_msg_packet_hdr header{};
  const auto found = attributes.bytes(NFULA_PACKET_HDR);
  std::memcpy(&header, found.data(), std::min(found.size(), sizeof(header)));
  packet["ethertype"] = Napi::Number::New(env, ntohs(header.hw_protocol));
  packet["hook"] = Napi::Number::New(env, header.hook);
  packet["prefix"] = Napi::String::New(env, attributes.text(NFULA_PREFIX));
  const auto payload = attributes.bytes(NFULA_PAYLOAD);
  packet["payload"] = copy_to_buffer(env, payload.data(), payload.size());
  packet["mark"] = Napi::Number::New(env, number(attributes, NFULA_MARK).value_or(0));
  packet["lost"] = Napi::Number::New(env, lost_before(number(attributes, NFULA_SEQ)));
  const struct {
    const char *name;
    uint16_t type;
  } interfaces[] = {{"input", NFULA_IFINDEX_INDEV},
                    {"output", NFULA_IFINDEX_OUTDEV},
                    {"inputPort", NFULA_IFINDEX_PHYSINDEV},
                    {"outputPort", NFULA_IFINDEX_PHYSOUTDEV}};
  for (const auto &[name, type] : interfaces) {
    if (const auto ifindex = number(attributes, type)) packet[name] = Napi::Number::New(env, *ifindex);
  }
  return packet;
}

void NflogReader::deliver() {
  const Napi::Env env = Env();
  auto packets = Napi::Array::New(env);
  for (int turn = 0; turn < kTurn; turn++) {
    const ssize_t received = recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    // What had no room is told by the next packet's number.
    if (received < 0 && (errno == EINTR || errno == ENOBUFS)) continue;
    if (received < 0) break;
    int left = int(received);
    for (auto *message = reinterpret_cast<nlmsghdr *>(buffer_.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      const Napi::Value packet = to_packet(*message);
      if (!packet.IsUndefined()) packets[packets.Length()] = packet;
    }
  }
  if (packets.Length() > 0) call_from_loop(on_packets_, packets);
}

void NflogReader::close(const Napi::CallbackInfo &) {
  poll_.reset();
  fd_.reset();
}
