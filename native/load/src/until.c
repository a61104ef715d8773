// A datagram every 100 µs, each of another source port, until one arrives (`open`), or no more do (`closed`): when the
// first one that felt the change was sent.
#include <inttypes.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "clock.h"
#include "ends.h"
#include "fail.h"
#include "loads.h"
#include "raw_udp.h"

enum {
  PERIOD_NS = 100000,
  // So many in a row that did not arrive are the end: 40 ms, longer than a receiver on a busy machine sleeps over.
  SILENCE = 400,
  // The last ones are on their way.
  LINGER_NS = 2000000,
};

// When the last RING datagrams were sent, by their number.
enum { RING = 4096 };
static uint64_t sent_at[RING];
_Static_assert(RING > 2 * SILENCE, "the first that did not arrive is still known");

static void tell(uint64_t felt, const struct raw_udp *raw, const struct sink_tally *tally) {
  printf("{\"feltNs\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"arrived\":%" PRIu64 "}\n", felt, raw->sent,
         atomic_load(&tally->arrived));
}

static uint64_t next_of_last(const struct sink_tally *tally) {
  return atomic_load(&tally->arrived) == 0 ? 0 : atomic_load(&tally->last_number) + 1;
}

static bool is_silent(const struct raw_udp *raw, const struct sink_tally *tally) {
  const uint64_t lost = next_of_last(tally);
  if (raw->sent < lost + SILENCE) return false;
  clock_sleep_until(clock_now() + LINGER_NS);
  return next_of_last(tally) == lost;
}

void load_until(const struct options *options) {
  static struct raw_udp raw;
  const struct sink_tally *tally = ends_enter(options, sink_listen, sink_run);
  prctl(PR_SET_TIMERSLACK, 1);
  raw_udp_open(&raw, &options->client, &options->server);
  const uint64_t started = clock_now();
  for (uint64_t due = started; due - started < options->nanoseconds && raw.sent < options->count; due += PERIOD_NS) {
    clock_sleep_until(due);
    // What was missed while others had the processor is not made up for.
    const uint64_t now = clock_now();
    if (now > due + PERIOD_NS) due = now;
    sent_at[raw.sent % RING] = now;
    raw_udp_send(&raw, 1);
    if (options->wants_open && atomic_load(&tally->arrived) > 0)
      return tell(atomic_load(&tally->first_sent), &raw, tally);
    if (!options->wants_open && is_silent(&raw, tally)) return tell(sent_at[next_of_last(tally) % RING], &raw, tally);
  }
  fail("the way to %s has not come to be %s: %" PRIu64 " of %" PRIu64 " datagrams arrived",
       address_text(&options->server), options->wants_open ? "open" : "closed", atomic_load(&tally->arrived), raw.sent);
}
