#include "map_elements.hh"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <unordered_set>

static constexpr uint32_t kFirstChunk = 256, kLargestChunk = 1u << 20;
static constexpr int kNotSupportedInKernel = 524; // ENOTSUPP

uint32_t io_value_size(uint32_t map_type, uint32_t value_size) {
  switch (map_type) {
  case BPF_MAP_TYPE_PERCPU_HASH:
  case BPF_MAP_TYPE_PERCPU_ARRAY:
  case BPF_MAP_TYPE_LRU_PERCPU_HASH:
  case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
    return (value_size + 7) / 8 * 8 * libbpf_num_possible_cpus();
  default:
    return value_size;
  }
}

// Kernels before 5.6 don't know the commands (EINVAL); later ones lack them for some types.
bool is_batch_unsupported(int error) {
  return error == kNotSupportedInKernel || error == EOPNOTSUPP || error == EINVAL;
}

int read_keys(const MapShape &map, MapContents &contents) {
  contents = {};
  // The kernel goes back to the start when the previous key is gone, so keys may come again.
  std::unordered_set<std::string> seen;
  std::string key(map.key_size, '\0'), next(map.key_size, '\0');
  const uint64_t step_limit = 8ull * map.max_entries + 1024;
  const void *previous = nullptr;
  for (uint64_t step = 0;; step++) {
    const int result = bpf_map_get_next_key(map.fd, previous, next.data());
    if (result == -ENOENT) return 0;
    if (result < 0) return -result;
    if (step == step_limit) return EAGAIN;
    key = next;
    previous = key.data();
    if (!seen.insert(key).second) continue;
    contents.keys.insert(contents.keys.end(), key.begin(), key.end());
    contents.count++;
  }
}

static int read_singly(const MapShape &map, MapContents &contents) {
  MapContents keys;
  if (const int error = read_keys(map, keys)) return error;
  contents = {};
  contents.keys.reserve(keys.keys.size());
  contents.values.reserve(size_t(keys.count) * map.value_size);
  std::vector<uint8_t> value(map.value_size);
  for (uint32_t i = 0; i < keys.count; i++) {
    const uint8_t *key = keys.keys.data() + size_t(i) * map.key_size;
    const int result = bpf_map_lookup_elem(map.fd, key, value.data());
    if (result == -ENOENT) continue; // deleted meanwhile
    if (result < 0) return -result;
    contents.keys.insert(contents.keys.end(), key, key + map.key_size);
    contents.values.insert(contents.values.end(), value.begin(), value.end());
    contents.count++;
  }
  return 0;
}

static int read_in_batches(const MapShape &map, MapContents &contents) {
  contents = {};
  // The position is a bucket's number for hash tables and a key for others.
  std::vector<uint8_t> position(std::max<size_t>(map.key_size, 8)), next(position.size());
  uint32_t chunk = std::min(std::max(map.max_entries, 1u), kFirstChunk);
  for (bool first = true;;) {
    contents.keys.resize(size_t(contents.count + chunk) * map.key_size);
    contents.values.resize(size_t(contents.count + chunk) * map.value_size);
    uint32_t count = chunk;
    const int result =
        bpf_map_lookup_batch(map.fd, first ? nullptr : position.data(), next.data(),
                             contents.keys.data() + size_t(contents.count) * map.key_size,
                             contents.values.data() + size_t(contents.count) * map.value_size, &count, nullptr);
    if (result == -ENOSPC && chunk < kLargestChunk) { // a hash bucket holds more than a chunk
      chunk *= 2;
      continue;
    }
    if (result < 0 && result != -ENOENT) return -result;
    contents.count += std::min(count, chunk);
    if (result == -ENOENT) break;
    first = false;
    position.swap(next);
    chunk = std::min(chunk * 2, kLargestChunk);
  }
  contents.keys.resize(size_t(contents.count) * map.key_size);
  contents.values.resize(size_t(contents.count) * map.value_size);
  return 0;
}

int read_elements(const MapShape &map, MapContents &contents) {
  const int error = read_in_batches(map, contents);
  // EINTR: elements went away under the cursor again and again.
  if (is_batch_unsupported(error) || error == EINTR) return read_singly(map, contents);
  return error;
}

// The single calls also tell what EINVAL of a batch call leaves open: which element, and why.
BulkResult write_elements(const MapShape &map, const uint8_t *keys, const uint8_t *values, uint32_t count) {
  uint32_t done = count;
  const int result = count == 0 ? 0 : bpf_map_update_batch(map.fd, keys, values, &done, nullptr);
  if (result == 0) return {0, count};
  if (!is_batch_unsupported(-result)) return {-result, std::min(done, count)};
  // A kernel that rejects the command leaves `done` as it was; writing an element again is harmless.
  for (uint32_t i = 0; i < count; i++) {
    const int error =
        bpf_map_update_elem(map.fd, keys + size_t(i) * map.key_size, values + size_t(i) * map.value_size, BPF_ANY);
    if (error < 0) return {-error, i};
  }
  return {0, count};
}

BulkResult delete_elements(const MapShape &map, const uint8_t *keys, uint32_t count) {
  uint32_t deleted = 0;
  bool batch = true;
  for (uint32_t i = 0; i < count;) {
    const uint8_t *rest = keys + size_t(i) * map.key_size;
    if (batch) {
      uint32_t done = count - i;
      const int result = bpf_map_delete_batch(map.fd, rest, &done, nullptr);
      if (result == 0) return {0, deleted + count - i};
      if (is_batch_unsupported(-result)) {
        batch = false;
        continue;
      }
      if (result != -ENOENT || done >= count - i) return {-result, deleted};
      deleted += done;
      i += done + 1; // the element at which the kernel stopped is not there
    } else {
      const int result = bpf_map_delete_elem(map.fd, rest);
      if (result < 0 && result != -ENOENT) return {-result, deleted};
      if (result == 0) deleted++;
      i++;
    }
  }
  return {0, deleted};
}

std::string progress(const std::string &label, uint32_t done, uint32_t count) {
  return label + " (after " + std::to_string(done) + " of " + std::to_string(count) + " elements)";
}
