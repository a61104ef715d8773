// Times -> quantiles within 0.05 % of the true ones: each power of two is parted in 1,024.
#pragma once

#include <stdint.h>

enum {
  HISTOGRAM_PART_BITS = 10,
  HISTOGRAM_PARTS = 1 << HISTOGRAM_PART_BITS,
  // Up to 2^40 ns, 18 minutes.
  HISTOGRAM_MAX_BITS = 40,
  HISTOGRAM_SIZE = (HISTOGRAM_MAX_BITS - HISTOGRAM_PART_BITS + 1) * HISTOGRAM_PARTS,
};

struct histogram {
  uint64_t count;
  uint32_t parts[HISTOGRAM_SIZE];
};

void histogram_add(struct histogram *histogram, uint64_t nanoseconds);
// The middle of the part in which the quantile is; 0 when nothing was added.
uint64_t histogram_quantile(const struct histogram *histogram, double quantile);
