#include "histogram.h"

// Below 1,024 each number is a part of its own; from there on the ten bits behind the highest tell the part.
static uint32_t part_of(uint64_t value) {
  if (value >= 1ull << HISTOGRAM_MAX_BITS) return HISTOGRAM_SIZE - 1;
  if (value < HISTOGRAM_PARTS) return (uint32_t)value;
  const int shift = 63 - __builtin_clzll(value) - HISTOGRAM_PART_BITS;
  return (uint32_t)((shift + 1) * HISTOGRAM_PARTS + (int)((value >> shift) & (HISTOGRAM_PARTS - 1)));
}

static uint64_t middle_of(uint32_t part) {
  if (part < HISTOGRAM_PARTS) return part;
  const uint32_t shift = part / HISTOGRAM_PARTS - 1;
  const uint64_t low = (uint64_t)(HISTOGRAM_PARTS + part % HISTOGRAM_PARTS) << shift;
  return low + ((1ull << shift) >> 1);
}

void histogram_add(struct histogram *histogram, uint64_t nanoseconds) {
  histogram->parts[part_of(nanoseconds)]++;
  histogram->count++;
}

uint64_t histogram_quantile(const struct histogram *histogram, double quantile) {
  if (histogram->count == 0) return 0;
  const uint64_t rank = (uint64_t)(quantile * (double)(histogram->count - 1));
  uint64_t seen = 0;
  for (uint32_t part = 0; part < HISTOGRAM_SIZE; part++) {
    seen += histogram->parts[part];
    if (seen > rank) return middle_of(part);
  }
  return middle_of(HISTOGRAM_SIZE - 1);
}
