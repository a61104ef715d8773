/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What was looked up lately: each CPU's own arrays before the large maps of a state, so that the same peers are found
 * in a hash or a trie once for each generation. An entry counts under the generation alone that it was made in, whose
 * copy nobody writes while any run is under it.
 */
#pragma once

#include "maps.h"

/* Places of each array; what meets in one place takes it in turns. A power of two. */
#define RECENT_BITS  9
#define RECENT_PLACE (32 - RECENT_BITS)

struct recent_identity4 {
  __u64 generation;
  __be32 address;
  __u32 identity;
  __u32 flags;
  __u32 pad;
};

struct recent_identity6 {
  __u64 generation;
  __be32 address[4];
  __u32 identity;
  __u32 flags;
};

/* The row for an identity, or that for anyone, whichever counts; a count of 0 admits nothing. */
struct recent_row {
  __u64 generation;
  __u32 ruleset;
  __u32 identity;
  __u32 first;
  __u32 count;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1 << RECENT_BITS);
  __type(key, __u32);
  __type(value, struct recent_identity4);
} recent_identities4 SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1 << RECENT_BITS);
  __type(key, __u32);
  __type(value, struct recent_identity6);
} recent_identities6 SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1 << RECENT_BITS);
  __type(key, __u32);
  __type(value, struct recent_row);
} recent_rows SEC(".maps");

/* Multiplied by the golden ratio: neighbours go far apart. */
static __always_inline __u32 recent_place(__u32 number) { return number * 0x9e3779b1u >> RECENT_PLACE; }

static __always_inline struct recent_identity4 *recent_identity4(__be32 address) {
  __u32 place = recent_place(address);

  return LOOKUP(recent_identities4, &place);
}

static __always_inline struct recent_identity6 *recent_identity6(const __be32 *address) {
  __u32 place = recent_place(address[0] ^ address[1] ^ address[2] ^ address[3]);

  return LOOKUP(recent_identities6, &place);
}

static __always_inline struct recent_row *recent_row(__u32 ruleset, __u32 identity) {
  __u32 place = recent_place(identity ^ ruleset << 16 ^ ruleset >> 16);

  return LOOKUP(recent_rows, &place);
}
