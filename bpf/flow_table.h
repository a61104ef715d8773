/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * An endpoint's table of connections: a hash chooses a set of a few entries, and these are compared one by one. (An LRU
 * hash of the kernel's takes 300 ns to add an entry when it is full, and lends one that it gives away to whoever still
 * looks at it.)
 *
 * Who adds an entry, or keeps a verdict in one, holds the set's lock. Who finds one holds nothing, and meanwhile the entry
 * may become another connection's. So all that decides stands in the word `judged`, which is read once, between two looks
 * at the key, and bears a part of the key's hash: for a connection to be given the word of another, the entry would have
 * to change hands twice within one packet's look at it, to a connection with the same 14 bits and back. What else is written
 * to an entry that has just become another's (when it was seen, how far it is) may keep it for too long or too short,
 * and admits nothing.
 */
#pragma once

#include "flow.h"

#define JUDGED_TAG_BITS 14
/* What of the word is the key's own. */
#define JUDGED_KEY_MASK ((((1ull << JUDGED_TAG_BITS) - 1) << JUDGED_TAG_SHIFT) | 1ull << JUDGED_USED_BIT)

/* Where a connection belongs: its set, its part of the word, and both ports as one number. */
struct flow_place {
  __u64 tag;
  __u32 set;
  __u32 ports;
};

static __always_inline __u32 ports_of(const __be16 *pair) {
  __u32 ports;

  __builtin_memcpy(&ports, pair, sizeof(ports));
  return ports;
}

/*
 * Ports that are counted up would go round the sets in equal steps, and with every fiftieth choice of the random numbers
 * hundreds of a thousand would meet in few sets.
 */
static __always_inline __u64 without_steps(__u64 hash) { return (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ull; }

/*
 * Multiplications of two words each, with random numbers, of which the high bits count: any two connections share set
 * and tag by chance alone, however they were chosen by somebody who does not know the numbers.
 */
static __always_inline struct flow_place flow_place_of(const struct packet *packet, const int family) {
  __u32 zero = 0, ports = ports_of(&packet->peer_port);
  const struct flow_seed *seed = bpf_map_lookup_elem(&flow_seed, &zero);
  const __be32 *peer = packet->peer;
  __u64 hash = 0;

  if (seed && family == 4)
    hash =
        (seed->of[0] + peer[0]) * (seed->of[1] + ports) + (seed->of[2] + packet->protocol) * seed->of[3] + seed->of[4];
  else if (seed)
    hash = (seed->of[0] + peer[0]) * (seed->of[1] + peer[1]) + (seed->of[2] + peer[2]) * (seed->of[3] + peer[3]) +
           (seed->of[4] + ports) * (seed->of[5] + packet->protocol) + seed->of[6];
  hash = without_steps(hash);
  return (struct flow_place){
      .tag = hash << flow_set_bits >> (64 - JUDGED_TAG_BITS) << JUDGED_TAG_SHIFT | 1ull << JUDGED_USED_BIT,
      .set = hash >> (64 - flow_set_bits),
      .ports = ports,
  };
}

static __always_inline struct flow *flow_way(void *set, __u64 index, const int family) {
  if (family == 4) return set + __builtin_offsetof(struct flow4_set, ways) + index * sizeof(struct flow4);
  return set + __builtin_offsetof(struct flow6_set, ways) + index * sizeof(struct flow6);
}

/* 0 when the entry is this connection's. */
static __always_inline __u64 flow_differs(const struct flow *flow, const struct packet *packet,
                                          const struct flow_place *place, const int family) {
  __u64 differs = *(const volatile __u8 *)&flow->protocol ^ packet->protocol;

  if (family == 4) {
    const volatile struct flow4 *way = (const void *)flow;

    differs |= (way->peer ^ packet->peer[0]) | (way->ports ^ place->ports);
  } else {
    const volatile struct flow6 *way = (const void *)flow;

    differs |= way->ports ^ place->ports;
#pragma unroll
    for (int i = 0; i < 4; i++) differs |= way->peer[i] ^ packet->peer[i];
  }
  return ((*(const volatile __u64 *)&flow->judged ^ place->tag) & JUDGED_KEY_MASK) | differs;
}

/* From 0 on, what is none beyond all. By one comparison: before 6.8 the verifier learns nothing from "not 0". */
static __always_inline __u64 flow_index(__u64 which) {
  __u64 index = which - 1;

  barrier_var(index);
  return index;
}

/*
 * Which entry of the set, counted from 1, or 0. Without a jump: the processor would guess wrong where a connection's place
 * differs from the last one's, and the verifier would go on from each of them.
 */
static __always_inline __u64 flow_which(void *set, const struct packet *packet, const struct flow_place *place,
                                        const int family) {
  __u64 which = 0;

#pragma unroll
  for (int i = 0; i < (family == 4 ? FLOW4_WAYS : FLOW6_WAYS); i++) {
    __u64 differs = flow_differs(flow_way(set, i, family), packet, place, family), minus = -differs;

    asm volatile("" : "+r"(minus));
    which |= (__u64)(i + 1) & (((differs | minus) >> 63) - 1);
  }
  return which;
}

/* Of the endpoint in this slot. */
static __always_inline void *flow_set_of(__u32 slot, const struct flow_place *place, const int family) {
  __u32 index = place->set;
  void *set, *table = family == 4 ? LOOKUP(flows4, &slot) : LOOKUP(flows6, &slot);

  if (!table) return 0;
  set = bpf_map_lookup_elem(table, &index);
  UNMERGED(set);
  return set;
}

/* The same entry, to be read after the word has been: processors that reorder reads don't where one's address needs the other. */
static __always_inline struct flow *flow_after(struct flow *flow, __u64 word) {
  asm volatile("%0 &= 0" : "+r"(word));
  return (void *)flow + word;
}

/* In the table of the endpoint in this slot, live or not; `judged`: its word, left alone when there is none. */
static __always_inline struct flow *flow_find(__u32 slot, const struct packet *packet, __u64 *judged,
                                              const int family) {
  struct flow_place place = flow_place_of(packet, family);
  void *set = flow_set_of(slot, &place, family);

  if (!set) return 0;
  __u64 which = flow_which(set, packet, &place, family);

  __u64 way = flow_index(which);

  if (way >= (family == 4 ? FLOW4_WAYS : FLOW6_WAYS)) return 0;
  struct flow *flow = flow_way(set, way, family);

  __u64 word = *(volatile __u64 *)&flow->judged;

  if (flow_differs(flow_after(flow, word), packet, &place, family)) return 0;
  *judged = word;
  return flow;
}
