/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The maps of abi.h's picture, and one typed look-up for each. Sizes are defaults that user space may change before
 * it loads the object.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "abi.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} generation SEC(".maps");

/* Written once: whoever takes the tables over goes on with it. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct flow_seed);
} flow_seed SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct settings);
} settings_left SEC(".maps"), settings_right SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, IFINDEX_ARRAY);
  __type(key, __u32);
  __type(value, struct slot);
} slots_left SEC(".maps"), slots_right SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __type(key, __u32);
  __type(value, struct slot);
} slots_beyond_left SEC(".maps"), slots_beyond_right SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SLOTS_MAX);
  __type(key, __u32);
  __type(value, struct endpoint);
} endpoints_left SEC(".maps"), endpoints_right SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct ipcache4_key);
  __type(value, struct ipcache_entry);
} ipcache4_left SEC(".maps"), ipcache4_right SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct ipcache6_key);
  __type(value, struct ipcache_entry);
} ipcache6_left SEC(".maps"), ipcache6_right SEC(".maps");

/* Room for a policy of 5 MB: 150,000 blocks and a row for each. What is not used costs little: nothing is preallocated. */
struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, 262144);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct cidr4_key);
  __type(value, struct cidr_entry);
} cidrs4_left SEC(".maps"), cidrs4_right SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, 262144);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct cidr6_key);
  __type(value, struct cidr_entry);
} cidrs6_left SEC(".maps"), cidrs6_right SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 262144);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct policy_key);
  __type(value, struct policy_entry);
} policy_left SEC(".maps"), policy_right SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 65536);
  __type(key, __u32);
  __type(value, struct port_range);
} ports_left SEC(".maps"), ports_right SEC(".maps");

/*
 * One table per endpoint, made by user space like the template, put in at the endpoint's slot. Sizes and no types: kernel 6.1
 * takes a map with BTF and one without for different ones, and user space makes them without.
 */
struct flows4_table {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1 << FLOW_SET_BITS);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(struct flow4_set));
};

struct flows6_table {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1 << FLOW_SET_BITS);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(struct flow6_set));
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, SLOTS_MAX);
  __type(key, __u32);
  __array(values, struct flows4_table);
} flows4 SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, SLOTS_MAX);
  __type(key, __u32);
  __array(values, struct flows6_table);
} flows6 SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 8192);
  __type(key, struct fragment_key);
  __type(value, struct fragment);
} fragments SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
  __uint(max_entries, 16384);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct counter_key);
  __type(value, struct counter);
} counters SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, TALLIES);
  __type(key, __u32);
  __type(value, struct tally);
} tallies SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, LOSS_MAX);
  __type(key, __u32);
  __type(value, __u64);
} losses SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
} events SEC(".maps");

/*
 * clang would merge two look-ups that differ in the map alone into one call, and then the kernel could not put the
 * map's own code in its place (9 to 27 ns each): the number makes every call site unlike the others.
 */
#define UNMERGED(value) asm volatile("" : "+r"(value) : "i"(__COUNTER__))

#define LOOKUP(map, key)                                                                                               \
  ({                                                                                                                   \
    void *found = bpf_map_lookup_elem(&(map), (key));                                                                  \
    UNMERGED(found);                                                                                                   \
    found;                                                                                                             \
  })

/* In the copy in force, of a map that exists twice. */
#define LOOKUP_COPY(copy, name, key) ((copy) == COPY_LEFT ? LOOKUP(name##_left, key) : LOOKUP(name##_right, key))

static __always_inline struct settings *settings_find(__u32 copy) {
  __u32 zero = 0;

  return LOOKUP_COPY(copy, settings, &zero);
}

static __always_inline struct slot *slot_find(__u32 copy, __u32 ifindex) {
  if (ifindex < IFINDEX_ARRAY) return LOOKUP_COPY(copy, slots, &ifindex);
  return LOOKUP_COPY(copy, slots_beyond, &ifindex);
}

static __always_inline struct endpoint *endpoint_find(__u32 copy, __u32 slot) {
  return LOOKUP_COPY(copy, endpoints, &slot);
}

static __always_inline void loss_count(__u32 which) {
  __u64 *lost = bpf_map_lookup_elem(&losses, &which);

  if (lost) (*lost)++;
}
