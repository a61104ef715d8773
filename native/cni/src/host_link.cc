#include "host_link.hh"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "../../src/fd.hh"
#include "cni_error.hh"

namespace {

[[noreturn]] void fail(const std::string &what) { throw CniError(CniCode::kIo, what + ": " + std::strerror(errno)); }

/// A socket stays in the namespace in which it was made. This process has one thread and goes on in its own.
Fd netlink_socket_in(const std::string &netns) {
  const Fd own(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  const Fd other(open(netns.c_str(), O_RDONLY | O_CLOEXEC));
  if (!own.valid()) fail("/proc/self/ns/net");
  if (!other.valid()) fail(netns);
  if (setns(other.get(), CLONE_NEWNET) != 0) fail("setns to " + netns);
  Fd made(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (setns(own.get(), CLONE_NEWNET) != 0) fail("setns back");
  if (!made.valid()) fail("a netlink socket in " + netns);
  return made;
}

struct Request {
  nlmsghdr header;
  ifinfomsg link;
  rtattr name_header;
  char name[IFNAMSIZ];
};

/// IFLA_LINK, "the other end of a veth", of the interface of that name.
unsigned peer_of(int socket, const std::string &ifname) {
  Request request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.name_header.rta_type = IFLA_IFNAME;
  request.name_header.rta_len = sizeof(rtattr) + IFNAMSIZ;
  std::memcpy(request.name, ifname.data(), std::min(ifname.size(), sizeof(request.name) - 1));
  if (send(socket, &request, sizeof(request), 0) < 0) fail("RTM_GETLINK " + ifname);

  alignas(nlmsghdr) std::array<char, 32768> buffer;
  const ssize_t size = recv(socket, buffer.data(), buffer.size(), 0);
  if (size < 0) fail("RTM_GETLINK " + ifname);
  const auto *answer = reinterpret_cast<const nlmsghdr *>(buffer.data());
  if (!NLMSG_OK(answer, static_cast<size_t>(size))) fail("RTM_GETLINK " + ifname);
  if (answer->nlmsg_type == NLMSG_ERROR) {
    errno = -static_cast<const nlmsgerr *>(NLMSG_DATA(answer))->error;
    fail("RTM_GETLINK " + ifname);
  }
  int length = static_cast<int>(IFLA_PAYLOAD(answer));
  const auto *link = static_cast<const ifinfomsg *>(NLMSG_DATA(answer));
  for (auto *attribute = IFLA_RTA(link); RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length)) {
    if (attribute->rta_type == IFLA_LINK) return *static_cast<const unsigned *>(RTA_DATA(attribute));
  }
  return 0;
}

} // namespace

HostLink find_host_link(const std::string &netns, const std::string &ifname) {
  const Fd socket = netlink_socket_in(netns);
  const unsigned ifindex = peer_of(socket.get(), ifname);
  char name[IFNAMSIZ];
  if (ifindex == 0 || if_indextoname(ifindex, name) == nullptr) {
    throw CniError(CniCode::kInvalidConfig, ifname + " in " + netns + " is no veth whose other end is the node's");
  }
  return {ifindex, name};
}
