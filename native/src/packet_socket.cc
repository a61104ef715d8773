#include "packet_socket.hh"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cstring>
#include <vector>

#include "bytes.hh"
#include "error.hh"
#include "socket.hh"

static constexpr size_t kLargestFrame = 65536 + 64;
/// Frames per turn of the event loop.
static constexpr int kTurn = 256;

void PacketSocket::define(Napi::Env env, Napi::Object exports) {
  exports["PacketSocket"] = DefineClass(env, "PacketSocket",
                                        {
                                            InstanceMethod<&PacketSocket::send>("send"),
                                            InstanceMethod<&PacketSocket::receive>("receive"),
                                            InstanceMethod<&PacketSocket::ref>("ref"),
                                            InstanceMethod<&PacketSocket::unref>("unref"),
                                            InstanceMethod<&PacketSocket::close>("close"),
                                        });
}

// new PacketSocket(ifindex, protocol, {promiscuous, vnetHeader, bypassQdisc}, onFrames or undefined)
PacketSocket::PacketSocket(const Napi::CallbackInfo &info) : Napi::ObjectWrap<PacketSocket>(info) {
  const Napi::Env env = info.Env();
  const int ifindex = int(uint32_of(info[0]));
  const uint16_t protocol = htons(uint32_of(info[1]));
  const auto flags = info[2].As<Napi::Object>();
  label_ = "packet socket on interface " + std::to_string(ifindex);
  // Protocol 0 until it is bound: else frames of all interfaces would come in between.
  fd_ = Fd(checked_errno(env, socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket", label_));
  const auto set = [&](int option, const char *name) {
    const int on = 1;
    checked_errno(env, setsockopt(fd_.get(), SOL_PACKET, option, &on, sizeof(on)), "setsockopt", name);
  };
  set(PACKET_AUXDATA, "PACKET_AUXDATA");
  if (flags.Get("vnetHeader").ToBoolean()) set(PACKET_VNET_HDR, "PACKET_VNET_HDR");
  if (flags.Get("bypassQdisc").ToBoolean()) set(PACKET_QDISC_BYPASS, "PACKET_QDISC_BYPASS");
  if (flags.Get("promiscuous").ToBoolean()) {
    packet_mreq request{};
    request.mr_ifindex = ifindex;
    request.mr_type = PACKET_MR_PROMISC;
    checked_errno(env, setsockopt(fd_.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)),
                  "setsockopt", label_ + " (promiscuous)");
  }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = protocol;
  address.sll_ifindex = ifindex;
  checked_errno(env, bind(fd_.get(), reinterpret_cast<sockaddr *>(&address), sizeof(address)), "bind", label_);
  if (info[3].IsFunction()) {
    on_frames_ = Napi::Persistent(info[3].As<Napi::Function>());
    poll_ = std::make_unique<Poll>(env, fd_.get(), [this] { deliver(); });
  }
}

void PacketSocket::send(const Napi::CallbackInfo &info) {
  const Bytes frame = bytes_of(info[0]);
  const ssize_t sent = ::send(fd_.get(), frame.data(), frame.size(), 0);
  checked_errno(info.Env(), int(sent), "send", label_);
}

static const char *packet_type_name(uint8_t type) {
  switch (type) {
  case PACKET_HOST:
    return "host";
  case PACKET_BROADCAST:
    return "broadcast";
  case PACKET_MULTICAST:
    return "multicast";
  case PACKET_OTHERHOST:
    return "otherhost";
  case PACKET_OUTGOING:
    return "outgoing";
  default:
    return "unknown";
  }
}

// The next frame, or undefined when there is none.
Napi::Value PacketSocket::next_frame() {
  const Napi::Env env = Env();
  std::vector<uint8_t> data(kLargestFrame);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(tpacket_auxdata))];
  sockaddr_ll from{};
  iovec vector{data.data(), data.size()};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof(from);
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(fd_.get(), &message, MSG_DONTWAIT);
  if (size < 0 && errno == EAGAIN) return env.Undefined();
  checked_errno(env, int(size), "recvmsg", label_);

  auto frame = Napi::Object::New(env);
  frame["data"] = copy_to_buffer(env, data.data(), size);
  frame["packetType"] = Napi::String::New(env, packet_type_name(from.sll_pkttype));
  const cmsghdr *extra = CMSG_FIRSTHDR(&message);
  if (extra && extra->cmsg_level == SOL_PACKET && extra->cmsg_type == PACKET_AUXDATA) {
    tpacket_auxdata auxiliary;
    std::memcpy(&auxiliary, CMSG_DATA(extra), sizeof(auxiliary));
    if (auxiliary.tp_status & TP_STATUS_VLAN_VALID) {
      auto vlan = Napi::Object::New(env);
      vlan["tci"] = Napi::Number::New(env, auxiliary.tp_vlan_tci);
      vlan["tpid"] = Napi::Number::New(env, auxiliary.tp_vlan_tpid);
      frame["vlan"] = vlan;
    }
  }
  return frame;
}

Napi::Value PacketSocket::receive(const Napi::CallbackInfo &info) {
  if (!wait_readable(info.Env(), fd_.get(), int(uint32_of(info[0])), label_)) return info.Env().Undefined();
  return next_frame();
}

void PacketSocket::deliver() {
  const Napi::Env env = Env();
  auto frames = Napi::Array::New(env);
  try {
    for (int turn = 0; turn < kTurn; turn++) {
      const Napi::Value frame = next_frame();
      if (frame.IsUndefined()) break;
      frames[frames.Length()] = frame;
    }
  } catch (const Napi::Error &) {
    // ENETDOWN: the interface went down or away; there is nothing to deliver, and the kernel says it only once.
  }
  if (frames.Length() > 0) call_from_loop(on_frames_, frames);
}

void PacketSocket::ref(const Napi::CallbackInfo &) {
  if (poll_) poll_->ref();
}

void PacketSocket::unref(const Napi::CallbackInfo &) {
  if (poll_) poll_->unref();
}

void PacketSocket::close(const Napi::CallbackInfo &) {
  poll_.reset();
  fd_.reset();
}
