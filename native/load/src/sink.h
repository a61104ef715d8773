// The end of all datagrams: counts them, remembers when the first and the last of them were sent, and answers
// questions.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "address.h"

enum { DATAGRAM_SIZE = 64 };

// What datagrams are for.
enum datagram_kind {
  DATAGRAM_COUNTED = 1,
  // Answered by the same, with `number` = how many counted ones have arrived.
  DATAGRAM_QUESTION = 2,
};

// Native byte order: both ends are on machines of one kind.
struct datagram {
  uint64_t kind;
  // Of the sender's: CLOCK_MONOTONIC in nanoseconds, and how many it has sent before.
  uint64_t sent;
  uint64_t number;
  char rest[DATAGRAM_SIZE - 3 * sizeof(uint64_t)];
};
_Static_assert(sizeof(struct datagram) == DATAGRAM_SIZE, "a datagram carries 64 bytes");

// Shared between the processes of both ends.
struct sink_tally {
  _Atomic uint64_t arrived;
  // Set before `arrived` is more than 0.
  _Atomic uint64_t first_sent;
  _Atomic uint64_t last_number;
  // A sender sleeps on the first while it is 1, until as many as the second have arrived.
  _Atomic uint32_t is_awaited;
  _Atomic uint64_t awaited;
};

int sink_listen(const struct address *address);
void sink_run(int fd, struct sink_tally *tally) __attribute__((noreturn));

// Sleeps until so many have arrived. Returns false when that takes more than 20 ms: some were lost.
bool sink_await(struct sink_tally *tally, uint64_t arrived);

// Where the sink of a server is.
struct address sink_address(const struct address *server);
