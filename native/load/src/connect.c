// Connect, one byte there and back, close, one after the other. The client closes first and by FIN, as most do, so that
// its own side keeps what is left for a minute (TIME_WAIT). It goes round its own 30,720 source ports, slow enough that
// each has rested for a second when it comes again, which tcp_tw_reuse asks for: the kernel never searches for a free
// port, tables of connections stay below that for a pair of pods however many runs there are, and every engine sees the
// same ports in turn.
//
// Without --client the namespace is not ours to set, and the kernel chooses the port: it would run out of them within
// seconds. There the server closes first, and keeps what is left.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "ends.h"
#include "fail.h"
#include "histogram.h"
#include "loads.h"
#include "machine_time.h"
#include "service.h"

enum {
  FIRST_PORT = 2048,
  // Round in 1.024 s.
  PORTS_PER_MS = 30,
  PORTS_PER_ROUND = PORTS_PER_MS * 1024,
  // Ports that are still in use are passed over, so many in a row.
  MAX_PASSED = 256,
};
_Static_assert(FIRST_PORT + PORTS_PER_ROUND == 32768,
               "the kernel's own choice begins at 32768, and other loads get theirs");

struct ports {
  uint64_t started;
  // Of the clock's: where the round was when this run began.
  uint64_t first;
  uint64_t taken;
};

// The round goes on between runs, by the clock: what one has used rests while the next one runs.
static struct ports ports_start(void) {
  const uint64_t now = clock_now();
  return (struct ports){.started = now, .first = now / NS_PER_MS * PORTS_PER_MS};
}

static uint16_t ports_next(struct ports *ports) {
  // Never ahead of the clock.
  if ((ports->taken + 1) % PORTS_PER_MS == 0) {
    const uint64_t due = ports->started + ports->taken / PORTS_PER_MS * NS_PER_MS;
    if (clock_now() < due) clock_sleep_until(due);
  }
  return (uint16_t)(FIRST_PORT + (ports->first + ports->taken++) % PORTS_PER_ROUND);
}

// Of the namespace that the client is in; the machine's own is left alone.
static void allow_reuse(const struct options *options) {
  if (!options->client_namespace) return;
  const int fd = open("/proc/sys/net/ipv4/tcp_tw_reuse", O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, "1", 1) != 1) fail_errno("net.ipv4.tcp_tw_reuse cannot be set");
  close(fd);
}

static int connect_next(const struct options *options, struct ports *ports) {
  if (!address_is_set(&options->client)) return service_connect(&options->client, &options->server);
  for (int passed = 0; passed < MAX_PASSED; passed++) {
    const struct address client = address_with_port(options->client, ports_next(ports));
    const int fd = socket(client.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail_errno("socket");
    service_limit_time(fd);
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) fail_errno("SO_REUSEADDR");
    const bool bound = bind(fd, &client.sa, address_size(&client)) == 0;
    if (bound && connect(fd, &options->server.sa, address_size(&options->server)) == 0) return fd;
    if (errno != EADDRINUSE && errno != EADDRNOTAVAIL)
      fail_errno("%s to %s", bound ? "connect" : "bind", address_text(bound ? &options->server : &client));
    close(fd);
  }
  fail("%d source ports in a row are in use", MAX_PASSED);
}

void load_connect(const struct options *options) {
  static struct histogram times;
  ends_enter(options, service_listen, service_run);
  allow_reuse(options);
  const enum request request = address_is_set(&options->client) ? REQUEST_ONE_OF_MANY : REQUEST_LAST;
  struct ports ports = ports_start();
  const struct machine_time before = machine_time_read();
  const uint64_t started = clock_now();
  uint64_t now = started;
  while (now - started < options->nanoseconds && times.count < options->count) {
    const int fd = connect_next(options, &ports);
    service_ask(fd, &options->server, request);
    close(fd);
    const uint64_t after = clock_now();
    histogram_add(&times, after - now);
    now = after;
  }
  const struct machine_time after = machine_time_read();
  printf("{\"count\":%" PRIu64 ",\"elapsedNs\":%" PRIu64 ",\"p50Ns\":%" PRIu64 ",\"p99Ns\":%" PRIu64
         ",\"busyNs\":%" PRIu64 ",\"busySource\":\"%s\"}\n",
         times.count, now - started, histogram_quantile(&times, 0.5), histogram_quantile(&times, 0.99),
         machine_time_busy(&before, &after), machine_time_source());
}
