#include "raw_udp.h"

#include <errno.h>
#include <linux/filter.h>
#include <stddef.h>
#include <string.h>

#include "clock.h"
#include "fail.h"

// Nothing is to be read here, and the kernel must not keep copies of what comes for other sockets.
static void receive_nothing(int fd) {
  struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
  const struct sock_fprog program = {.len = 1, .filter = &none};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0) fail_errno("SO_ATTACH_FILTER");
}

void raw_udp_open(struct raw_udp *raw, const struct address *client, const struct address *server) {
  memset(raw, 0, sizeof(*raw));
  // No run begins with the ports of the one before.
  raw->first = clock_now() / NS_PER_MS;
  const struct address sink = sink_address(server);
  raw->fd = socket(sink.sa.sa_family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
  if (raw->fd < 0) fail_errno("raw socket");
  receive_nothing(raw->fd);
  // IPv4 may go without a checksum; the kernel fills in IPv6's.
  const int offset = offsetof(struct udphdr, check);
  if (sink.sa.sa_family == AF_INET6 && setsockopt(raw->fd, IPPROTO_IPV6, IPV6_CHECKSUM, &offset, sizeof(offset)) != 0)
    fail_errno("IPV6_CHECKSUM");
  const struct address from = address_with_port(*client, 0), to = address_with_port(sink, 0);
  if (bind(raw->fd, &from.sa, address_size(&from)) != 0) fail_errno("bind %s", address_text(&from));
  if (connect(raw->fd, &to.sa, address_size(&to)) != 0) fail_errno("route to %s", address_text(&to));
  for (int i = 0; i < RAW_UDP_BATCH; i++) {
    raw->packets[i].header.dest = sink.v4.sin_port;
    raw->packets[i].header.len = htons(sizeof(raw->packets[i]));
    raw->packets[i].datagram.kind = DATAGRAM_COUNTED;
    raw->parts[i] = (struct iovec){&raw->packets[i], sizeof(raw->packets[i])};
    raw->messages[i].msg_hdr = (struct msghdr){.msg_iov = &raw->parts[i], .msg_iovlen = 1};
  }
}

uint32_t raw_udp_send(struct raw_udp *raw, uint32_t count) {
  if (count > RAW_UDP_BATCH) count = RAW_UDP_BATCH;
  const uint64_t now = clock_now();
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t number = raw->sent + i;
    raw->packets[i].header.source = htons((uint16_t)(RAW_UDP_FIRST_PORT + (raw->first + number) % RAW_UDP_PORTS));
    raw->packets[i].datagram.number = number;
    raw->packets[i].datagram.sent = now;
  }
  const int sent = sendmmsg(raw->fd, raw->messages, count, 0);
  if (sent < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR) fail_errno("a datagram cannot be sent");
  if (sent <= 0) return 0;
  raw->sent += (uint64_t)sent;
  return (uint32_t)sent;
}
