// Datagrams of ever other source ports, as fast as they go, to where none may arrive.
#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "ends.h"
#include "fail.h"
#include "loads.h"
#include "machine_time.h"
#include "raw_udp.h"

enum {
  // Between rests, for kernel threads of the processor that wait for their turn behind a real-time one: 1 % of the
  // time.
  TURN = 4096,
  REST_NS = 100000,
  // What is on its way has arrived by then.
  LINGER_NS = 20000000,
};

void load_flood(const struct options *options) {
  static struct raw_udp raw;
  const struct sink_tally *tally = ends_enter(options, sink_listen, sink_run);
  raw_udp_open(&raw, &options->client, &options->server);
  const struct machine_time before = machine_time_read();
  const uint64_t started = clock_now();
  uint64_t now = started;
  uint64_t rest = TURN;
  while (now - started < options->nanoseconds && raw.sent < options->count) {
    const uint64_t left = options->count - raw.sent;
    raw_udp_send(&raw, left < RAW_UDP_BATCH ? (uint32_t)left : RAW_UDP_BATCH);
    now = clock_now();
    if (raw.sent < rest) continue;
    rest += TURN;
    clock_sleep_until(now + REST_NS);
  }
  const struct machine_time after = machine_time_read();
  clock_sleep_until(now + LINGER_NS);
  printf("{\"sent\":%" PRIu64 ",\"arrived\":%" PRIu64 ",\"elapsedNs\":%" PRIu64 ",\"busyNs\":%" PRIu64
         ",\"busySource\":\"%s\"}\n",
         raw.sent, atomic_load(&tally->arrived), now - started, machine_time_busy(&before, &after),
         machine_time_source());
}
