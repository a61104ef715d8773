/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* An endpoint's own connection: who began it, how far it is, and the verdict cached for one generation. */
#pragma once

#include "parse_transport.h"
#include "settings.h"

enum flow_fin {
  FLOW_FIN_LOCAL = 1 << 0,
  FLOW_FIN_PEER = 1 << 1,
  FLOW_FIN_BOTH = FLOW_FIN_LOCAL | FLOW_FIN_PEER,
};

/* Of a word that an entry held: what stands in it besides the verdict and whose it is. */
static __always_inline bool judged_ever(__u64 judged) { return judged >> JUDGED_EPOCH_SHIFT; }

static __always_inline bool judged_by_peer(__u64 judged) { return judged >> JUDGED_BY_PEER_BIT & 1; }

static __always_inline bool judged_translated(__u64 judged) { return judged >> JUDGED_TRANSLATED_BIT & 1; }

static __always_inline __u32 judged_origin(__u64 judged) {
  return judged_by_peer(judged) ? FLOW_BY_PEER : FLOW_BY_LOCAL;
}

static __always_inline __u32 judged_slot(__u64 judged) {
  return judged >> JUDGED_SLOT_SHIFT & ((1u << MARK_SLOT_BITS) - 1);
}

static __always_inline __u32 judged_verdict(__u64 judged) { return judged & 1; }

static __always_inline bool judged_is_current(__u64 judged, const struct run *run) {
  return judged >> JUDGED_EPOCH_SHIFT == run->epoch;
}

#define JUDGED_BY_PEER    (1ull << JUDGED_BY_PEER_BIT)
#define JUDGED_TRANSLATED (1ull << JUDGED_TRANSLATED_BIT)
/* What judged_of tells. */
#define JUDGED_VERDICT_MASK (~0ull << JUDGED_EPOCH_SHIFT | ((1ull << JUDGED_BY_PEER_BIT) - 1))

/* The verdict for packets of this peer under the run's generation, without what tells whose word it is. */
static __always_inline __u64 judged_of(const struct run *run, __u32 peer_slot, __u32 verdict) {
  return (__u64)run->epoch << JUDGED_EPOCH_SHIFT | (__u64)peer_slot << JUDGED_SLOT_SHIFT | verdict;
}

static __always_inline __u32 flow_idle_time(__u32 protocol, __u32 state) {
  switch (protocol) {
  case IPPROTO_TCP:
  case IPPROTO_SCTP:
    if (state == FLOW_ESTABLISHED) return idle_tcp_established;
    if (state < FLOW_ESTABLISHED) return idle_tcp_opening;
    return state == FLOW_CLOSING ? idle_tcp_closing : idle_tcp_closed;
  case IPPROTO_UDP:
    return state == FLOW_OPENING ? idle_udp : idle_udp_established;
  case IPPROTO_ICMP:
  case IPPROTO_ICMPV6:
    return idle_icmp;
  }
  return idle_other;
}

/* Another CPU may be some ticks ahead of this run, and have seen a packet after its `now`. */
#define TICKS_AHEAD 1000

/* Packets of a pod under no policy may have passed unseen since: of TCP that has been answered, and of nothing else. */
static __always_inline bool flow_is_unaged(const struct flow *flow) {
  return flow->unaged && flow->protocol == IPPROTO_TCP &&
         (flow->state == FLOW_ANSWERED || flow->state == FLOW_ESTABLISHED);
}

/* One that was idle for too long counts as absent. */
static __always_inline bool flow_is_live(const struct flow *flow, __u32 now) {
  __u32 idle = now - flow->seen;

  if (!idle || idle + TICKS_AHEAD < flow_idle_time(flow->protocol, flow->state) + TICKS_AHEAD) return true;
  return flow_is_unaged(flow);
}

static __always_inline void flow_progress(struct flow *flow, __u64 judged, const struct packet *packet,
                                          const bool from_local) {
  if (packet->flags & PACKET_RST) {
    flow->state = FLOW_CLOSED;
  } else if (packet->flags & PACKET_FIN) {
    flow->fins |= from_local ? FLOW_FIN_LOCAL : FLOW_FIN_PEER;
    flow->state = flow->fins == FLOW_FIN_BOTH ? FLOW_CLOSED : FLOW_CLOSING;
  } else if (from_local == judged_by_peer(judged)) {
    if (flow->state == FLOW_OPENING) flow->state = FLOW_ANSWERED;
  } else if (flow->state == FLOW_ANSWERED && !(packet->flags & PACKET_OPENING)) {
    flow->state = FLOW_ESTABLISHED;
  }
}

/* An admitted packet of this flow was seen. Written only when it tells something new: the line is shared. */
static __always_inline void flow_touch(struct flow *flow, __u64 judged, const struct packet *packet,
                                       const struct run *run, const bool from_local) {
  if (flow->seen != run->now) {
    flow->seen = run->now;
    flow->unaged = run->unisolated;
  }
  if (unlikely(flow->state < FLOW_ESTABLISHED || packet->flags & (PACKET_FIN | PACKET_RST)))
    flow_progress(flow, judged, packet, from_local);
}

/* A connection under way stays whose it is, even when a packet comes that would open it from the other side. */
static __always_inline bool flow_is_under_way(const struct flow *flow, __u32 now) {
  if (!flow_is_live(flow, now)) return false;
  return flow->state <= FLOW_ESTABLISHED;
}

/* A TCP or SCTP connection that its own side opens anew, on a port used again. */
static __always_inline bool flow_restarts(const struct flow *flow, __u64 judged, const struct packet *packet,
                                          __u8 origin) {
  return judged_origin(judged) == origin && flow->state == FLOW_ESTABLISHED &&
         (packet->protocol == IPPROTO_TCP || packet->protocol == IPPROTO_SCTP);
}

/* Whether this packet makes an entry when it is admitted; live: there is one. */
static __always_inline bool flow_opens(const struct packet *packet, bool live) {
  if (packet->flags & (PACKET_LATER | PACKET_NO_PORTS | PACKET_NO_FLOW | PACKET_FIN | PACKET_RST)) return false;
  if (packet->flags & PACKET_OPENING) return true;
  return !live && packet->flags & PACKET_OPENS_IF_NEW;
}
