/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * When a set last lost an entry of UDP: as long as nothing was lost, a datagram without an entry begins a connection, and
 * the kernel's conntrack, which takes some 200 ns to answer, need not be asked. (Of TCP a packet says itself that it is new.)
 */
#pragma once

#include "flow_table.h"

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
