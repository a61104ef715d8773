// Whole-map reads and writes of one map, by the kernel's batch calls where it has them, else element by element.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

struct MapShape {
  int fd;
  uint32_t type;
  uint32_t key_size;
  uint32_t value_size; // as the system calls use it: all CPUs' values for per-CPU maps
  uint32_t max_entries;
};

struct MapContents {
  uint32_t count = 0;
  std::vector<uint8_t> keys, values;
};

/// What a bulk write came to: `error` is 0 or an errno, `done` how many elements were written (or deleted) before it.
struct BulkResult {
  int error;
  uint32_t done;
};

/// Bytes of one value in system calls.
uint32_t io_value_size(uint32_t map_type, uint32_t value_size);
/// Whether an error of a batch call says that there is no such call for this map, rather than that it went wrong.
bool is_batch_unsupported(int error);

/// These return 0 or an errno. The keys are distinct.
int read_keys(const MapShape &map, MapContents &contents);
int read_elements(const MapShape &map, MapContents &contents);
BulkResult write_elements(const MapShape &map, const uint8_t *keys, const uint8_t *values, uint32_t count);
BulkResult delete_elements(const MapShape &map, const uint8_t *keys, uint32_t count);
/// For error messages: `label` and how far a bulk write came.
std::string progress(const std::string &label, uint32_t done, uint32_t count);
