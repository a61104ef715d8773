// One byte there and back over one connection, again and again.
#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "ends.h"
#include "histogram.h"
#include "loads.h"
#include "service.h"

// The first ones fill caches and open the windows.
enum { UNCOUNTED = 100 };

void load_latency(const struct options *options) {
  static struct histogram times;
  ends_enter(options, service_listen, service_run);
  const int fd = service_connect(&options->client, &options->server);
  service_send_at_once(fd);
  for (int i = 0; i < UNCOUNTED; i++) service_ask(fd, &options->server, REQUEST_ONE_OF_MANY);
  const uint64_t started = clock_now();
  uint64_t now = started;
  while (now - started < options->nanoseconds && times.count < options->count) {
    service_ask(fd, &options->server, REQUEST_ONE_OF_MANY);
    const uint64_t after = clock_now();
    histogram_add(&times, after - now);
    now = after;
  }
  printf("{\"count\":%" PRIu64 ",\"elapsedNs\":%" PRIu64 ",\"p50Ns\":%" PRIu64 ",\"p99Ns\":%" PRIu64 "}\n", times.count,
         now - started, histogram_quantile(&times, 0.5), histogram_quantile(&times, 0.99));
}
