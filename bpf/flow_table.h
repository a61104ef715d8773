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

/* How often a set's lock is looked at: whoever holds it is done in some 50 ns. */
#define LOCK_TRIES 64

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
  return (struct flow_place){
      .tag = hash << flow_set_bits >> (64 - JUDGED_TAG_BITS) << JUDGED_TAG_SHIFT | 1ull << JUDGED_USED_BIT,
      .set = hash >> (64 - flow_set_bits),
      .ports = ports,
  };
}

static __always_inline bool flow_lock(__u32 *lock) {
  for (int i = 0; i < LOCK_TRIES; i++)
    if (!*(volatile __u32 *)lock && !__sync_val_compare_and_swap(lock, 0, 1)) return true;
  return false;
}

/* An exchange, for what was written before to be seen before. */
static __always_inline void flow_unlock(__u32 *lock) { __sync_lock_test_and_set(lock, 0); }

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

/* In some 1,024 jiffies, never 0. */
static __always_inline __u16 flow_lost_time(__u32 now) { return now >> 10 | 1; }

/* An entry of that origin may be missing from now on; one of two CPUs that write at once may win. */
static __always_inline void flow_lose(void *set, bool by_peer, __u32 now) {
  volatile __u16 *lost = set + __builtin_offsetof(struct flow4_set, lost);

  lost[by_peer] = flow_lost_time(now);
}

/*
 * Whether this packet of UDP, which has no entry, may belong to a connection begun by that side all the same: its entry
 * was lost lately, or this is the first time that somebody asks, and it may be older than the table. Else no entry means
 * that there is no connection, and nobody else need be asked.
 */
static __always_inline bool flow_may_be_lost(const struct run *run, const struct packet *packet, const bool by_peer,
                                             const int family) {
  /* Stamps are up to 2 older than what they stand for, and another CPU may be ahead. */
  const __u32 ahead = 2, window = (idle_udp_lost >> 10) + 2 * ahead;

  if (!idle_udp_lost) return false;
  struct flow_place place = flow_place_of(packet, family);
  void *set = flow_set_of(run->slot, &place, family);

  if (!set || window > 0xffff - ahead) return true;
  __u16 lost = ((volatile __u16 *)(set + __builtin_offsetof(struct flow4_set, lost)))[by_peer];

  if (!lost) flow_lose(set, by_peer, run->now);
  return !lost || (__u16)(flow_lost_time(run->now) + ahead - lost) <= window;
}

/* Of a packet that passes unseen: nobody makes an entry. */
static __always_inline void flow_leave_out(const struct run *run, const struct packet *packet, const bool by_peer,
                                           const int family) {
  struct flow_place place = flow_place_of(packet, family);
  void *set = flow_set_of(run->slot, &place, family);

  if (set) flow_lose(set, by_peer, run->now);
}

CHECKED_ALONE int flow_may_be_lost4(const struct run *run, const struct packet *packet, int by_peer) {
  return !run || !packet || flow_may_be_lost(run, packet, by_peer, 4);
}

CHECKED_ALONE int flow_may_be_lost6(const struct run *run, const struct packet *packet, int by_peer) {
  return !run || !packet || flow_may_be_lost(run, packet, by_peer, 6);
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

/* How dear an entry is: free and idle ones least, then closed, half-open and other ones; of each the latest is dearest. */
CHECKED_ALONE __u32 flow_worth(__u32 seen, __u32 state, __u32 unaged, __u32 protocol, __u32 now) {
  struct flow flow = {.seen = seen, .state = state, .unaged = unaged, .protocol = protocol};
  __u32 class = state == FLOW_CLOSED ? 1 : state == FLOW_OPENING ? 2 : 3;

  if (!flow_is_live(&flow, now)) class = 0;
  /* Another CPU may have seen it after this run's `now`. */
  return class << 30 | ~(now - seen + TICKS_AHEAD) >> 2;
}

enum flow_put {
  FLOW_PUT = 0,
  FLOW_IS_THERE = 1,
  FLOW_NO_ROOM = 2, /* no table, or the set's lock was held for too long */
};

/* The entry that a new one takes the place of, counted from 1. */
static __always_inline __u64 flow_cheapest(void *set, __u32 now, const int family) {
  __u64 least = ~0ull;

#pragma unroll
  for (int i = 0; i < (family == 4 ? FLOW4_WAYS : FLOW6_WAYS); i++) {
    const struct flow *flow = flow_way(set, i, family);
    __u32 worth = flow->judged ? flow_worth(flow->seen, flow->state, flow->unaged, flow->protocol, now) : 0;
    __u64 worth_and_way = (__u64)worth << 32 | (i + 1);

    if (worth_and_way < least) least = worth_and_way;
  }
  return (__u32)least;
}

/* Whether the connection of an entry that is given away may go on: one of TCP proves in mid-stream that it is not new. */
static __always_inline bool flow_is_missed(const struct flow *flow, __u32 now) {
  return flow->judged && flow->protocol == IPPROTO_UDP && now - flow->seen + TICKS_AHEAD < idle_udp_lost + TICKS_AHEAD;
}

/* Exchanges, for the key to be seen between a word that is nobody's and the one that is this connection's. */
static __always_inline void flow_write(struct flow *flow, const struct packet *packet, const struct flow_place *place,
                                       const struct flow *fresh, const int family) {
  __sync_lock_test_and_set(&flow->judged, 0);
  flow->seen = fresh->seen;
  flow->state = fresh->state;
  flow->fins = 0;
  flow->unaged = fresh->unaged;
  flow->protocol = packet->protocol;
  if (family == 4) {
    struct flow4 *way = (void *)flow;

    way->peer = packet->peer[0];
    way->ports = place->ports;
  } else {
    struct flow6 *way = (void *)flow;

    copy_words(way->peer, packet->peer);
    way->ports = place->ports;
  }
  __sync_lock_test_and_set(&flow->judged, fresh->judged | place->tag);
}

static __always_inline int flow_put(const struct run *run, const struct packet *packet, const struct flow *fresh,
                                    const bool keep, const int family) {
  struct flow_place place = flow_place_of(packet, family);
  void *set = flow_set_of(run->slot, &place, family);
  __u32 *lock = set;
  int outcome = FLOW_PUT;

  if (!set) return FLOW_NO_ROOM;
  if (!flow_lock(lock)) {
    flow_lose(set, judged_by_peer(fresh->judged), run->now);
    return FLOW_NO_ROOM;
  }
  __u64 which = flow_which(set, packet, &place, family);

  if (which && keep) {
    outcome = FLOW_IS_THERE;
  } else {
    bool evicts = !which;

    if (evicts) which = flow_cheapest(set, run->now, family);
    __u64 way = flow_index(which);

    if (way < (family == 4 ? FLOW4_WAYS : FLOW6_WAYS)) {
      struct flow *flow = flow_way(set, way, family);

      if (evicts && flow_is_missed(flow, run->now)) flow_lose(set, judged_by_peer(flow->judged), run->now);
      flow_write(flow, packet, &place, fresh, family);
    }
  }
  flow_unlock(lock);
  return outcome;
}

CHECKED_ALONE int flow_put4(const struct run *run, const struct packet *packet, const struct flow *fresh, int keep) {
  return run && packet && fresh ? flow_put(run, packet, fresh, keep, 4) : FLOW_NO_ROOM;
}

CHECKED_ALONE int flow_put6(const struct run *run, const struct packet *packet, const struct flow *fresh, int keep) {
  return run && packet && fresh ? flow_put(run, packet, fresh, keep, 6) : FLOW_NO_ROOM;
}

/*
 * Keeps a verdict (judged_of, and JUDGED_TRANSLATED) in the entry of the packet's connection, unless its word is no longer
 * what it was when it was found.
 */
static __always_inline int flow_keep(const struct run *run, const struct packet *packet, __u64 found, __u64 fresh,
                                     const int family) {
  struct flow_place place = flow_place_of(packet, family);
  void *set = flow_set_of(run->slot, &place, family);
  __u32 *lock = set;

  if (!set || !flow_lock(lock)) return FLOW_NO_ROOM;
  __u64 which = flow_which(set, packet, &place, family);

  __u64 way = flow_index(which);

  if (way < (family == 4 ? FLOW4_WAYS : FLOW6_WAYS)) {
    struct flow *flow = flow_way(set, way, family);

    if (flow->judged == found) *(volatile __u64 *)&flow->judged = fresh | (found & (JUDGED_KEY_MASK | JUDGED_BY_PEER));
  }
  flow_unlock(lock);
  return FLOW_IS_THERE;
}

CHECKED_ALONE int flow_keep4(const struct run *run, const struct packet *packet, __u64 found, __u64 fresh) {
  return run && packet ? flow_keep(run, packet, found, fresh, 4) : FLOW_NO_ROOM;
}

CHECKED_ALONE int flow_keep6(const struct run *run, const struct packet *packet, __u64 found, __u64 fresh) {
  return run && packet ? flow_keep(run, packet, found, fresh, 6) : FLOW_NO_ROOM;
}

static __always_inline void flow_cache(const struct run *run, const struct packet *packet, __u64 found, __u64 fresh,
                                       const int family) {
  if (family == 4)
    flow_keep4(run, packet, found, fresh);
  else
    flow_keep6(run, packet, found, fresh);
}

/* A new entry, unless there is one, live or not. */
static __always_inline int flow_add(const struct run *run, const struct packet *packet, const struct flow *fresh,
                                    const int family) {
  return family == 4 ? flow_put4(run, packet, fresh, true) : flow_put6(run, packet, fresh, true);
}

/* A new entry, or a new life for the one that there is. */
static __always_inline void flow_begin(const struct run *run, const struct packet *packet, const struct flow *fresh,
                                       const int family) {
  if ((family == 4 ? flow_put4(run, packet, fresh, false) : flow_put6(run, packet, fresh, false)) == FLOW_NO_ROOM)
    loss_count(LOSS_FLOW);
}

/* A connection that was under way before there was an entry; judged at its next packet. */
static __always_inline void flow_restore(const struct run *run, const struct packet *packet, __u32 origin,
                                         const int family) {
  struct flow known = {
      .judged = origin == FLOW_BY_PEER ? JUDGED_BY_PEER : 0,
      .seen = run->now,
      .state = FLOW_ESTABLISHED,
      .unaged = run->unisolated,
  };

  flow_begin(run, packet, &known, family);
}
