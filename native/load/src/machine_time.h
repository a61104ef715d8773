// CPU time of the whole machine, softirqs and kernel threads included: what its processors were not idle.
#pragma once

#include <stdint.h>

struct machine_time {
  uint64_t at;
  // Of all processors together.
  uint64_t idle;
  long processors;
};

struct machine_time machine_time_read(void);
// Nanoseconds that all processors together were busy between the two.
uint64_t machine_time_busy(const struct machine_time *from, const struct machine_time *to);
// `timer_list`: exact. `stat`: in ticks of 10 ms, where the kernel does not tell better.
const char *machine_time_source(void);
