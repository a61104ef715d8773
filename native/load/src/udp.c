// Datagrams of 64 bytes over one flow, as fast as they go, and how many of them arrive. The sink has answered one
// before, so that whoever keeps flows has this one as established. Both ends take turns, 512 datagrams at a time, so
// that they can share a processor and no buffer runs over; with a server elsewhere they do not, and what overruns it is
// lost.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "clock.h"
#include "ends.h"
#include "fail.h"
#include "loads.h"
#include "machine_time.h"

enum { BATCH = 64, TURN = 8 * BATCH, TRIES = 20, ANSWER_US = 100000 };

static int open_socket(const struct address *client, const struct address *sink) {
  const int fd = socket(sink->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail_errno("socket");
  const struct timeval limit = {.tv_usec = ANSWER_US};
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0) fail_errno("SO_RCVTIMEO");
  if (address_is_set(client) && bind(fd, &client->sa, address_size(client)) != 0)
    fail_errno("bind %s", address_text(client));
  if (connect(fd, &sink->sa, address_size(sink)) != 0) fail_errno("route to %s", address_text(sink));
  return fd;
}

// How many have arrived. Answers to earlier questions that were late are passed over.
static uint64_t ask_count(int fd, const struct address *sink) {
  static uint64_t question;
  for (int tries = 0; tries < TRIES; tries++) {
    struct datagram datagram = {.kind = DATAGRAM_QUESTION, .sent = ++question};
    if (send(fd, &datagram, sizeof(datagram), 0) < 0 && errno != ECONNREFUSED && errno != ENOBUFS)
      fail_errno("a datagram cannot be sent");
    while (recv(fd, &datagram, sizeof(datagram), 0) == sizeof(datagram)) {
      if (datagram.sent == question) return datagram.number;
    }
  }
  fail("%s does not answer", address_text(sink));
}

static uint64_t send_all(int fd, const struct options *options, struct sink_tally *tally, uint64_t *sent) {
  static struct datagram datagrams[BATCH];
  static struct iovec parts[BATCH];
  static struct mmsghdr messages[BATCH];
  for (int i = 0; i < BATCH; i++) {
    datagrams[i].kind = DATAGRAM_COUNTED;
    parts[i] = (struct iovec){&datagrams[i], sizeof(datagrams[i])};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  }
  uint64_t lost = 0, turn = TURN;
  const uint64_t started = clock_now();
  uint64_t now = started;
  while (now - started < options->nanoseconds && *sent < options->count) {
    const uint64_t left = options->count - *sent;
    const int batch = sendmmsg(fd, messages, left < BATCH ? (unsigned)left : BATCH, 0);
    if (batch < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR) fail_errno("a datagram cannot be sent");
    if (batch > 0) *sent += (uint64_t)batch;
    if (tally && *sent >= turn) {
      turn = *sent + TURN;
      if (!sink_await(tally, *sent - lost)) lost = *sent - atomic_load(&tally->arrived);
    }
    now = clock_now();
  }
  return now - started;
}

void load_udp(const struct options *options) {
  struct sink_tally *tally = ends_enter(options, sink_listen, sink_run);
  const struct address sink = sink_address(&options->server);
  const int fd = open_socket(&options->client, &sink);
  const uint64_t arrived_before = ask_count(fd, &sink);
  uint64_t sent = 0;
  const struct machine_time before = machine_time_read();
  const uint64_t elapsed = send_all(fd, options, options->server_namespace ? tally : NULL, &sent);
  // The question comes behind all others: its answer counts what was on its way.
  const uint64_t arrived = ask_count(fd, &sink) - arrived_before;
  const struct machine_time after = machine_time_read();
  printf("{\"sent\":%" PRIu64 ",\"arrived\":%" PRIu64 ",\"elapsedNs\":%" PRIu64 ",\"busyNs\":%" PRIu64
         ",\"busySource\":\"%s\"}\n",
         sent, arrived, elapsed, machine_time_busy(&before, &after), machine_time_source());
}
