/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What writes to an endpoint's table of connections, under the lock of one set: new entries, which take the place of the
 * least dear one, and verdicts that are kept in an entry.
 */
#pragma once

#include "flow_loss.h"
#include "flow_table.h"

/* How often a set's lock is looked at: whoever holds it is done in some 50 ns. */
#define LOCK_TRIES 64

static __always_inline bool flow_lock(__u32 *lock) {
  for (int i = 0; i < LOCK_TRIES; i++)
    if (!*(volatile __u32 *)lock && !__sync_val_compare_and_swap(lock, 0, 1)) return true;
  return false;
}

/* An exchange, for what was written before to be seen before. */
static __always_inline void flow_unlock(__u32 *lock) { __sync_lock_test_and_set(lock, 0); }

/* How dear an entry is: free and idle ones least, then closed, half-open and other ones; of each the latest is dearest. */
CHECKED_ALONE __u32 flow_worth(__u32 seen, __u32 state, __u32 unaged, __u32 protocol, __u32 now) {
  struct flow flow = {.seen = seen, .state = state, .unaged = unaged, .protocol = protocol};
  bool half_open = state == FLOW_OPENING || (state == FLOW_ANSWERED && !flow_is_unaged(&flow));
  __u32 class = state == FLOW_CLOSED ? 1 : half_open ? 2 : 3;

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
