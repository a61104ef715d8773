/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* An endpoint's own connections: who began them, how far they are, and the verdict cached for one generation. */
#pragma once

#include "parse_transport.h"
#include "settings.h"

enum flow_fin {
  FLOW_FIN_LOCAL = 1 << 0,
  FLOW_FIN_PEER = 1 << 1,
  FLOW_FIN_BOTH = FLOW_FIN_LOCAL | FLOW_FIN_PEER,
};

static __always_inline __u64 judged_of(const struct run *run, __u32 peer_slot, __u32 verdict) {
  return run->generation << JUDGED_GENERATION_SHIFT | (__u64)peer_slot << JUDGED_SLOT_SHIFT | verdict;
}

static __always_inline bool judged_is_current(__u64 judged, const struct run *run) {
  return judged && judged >> JUDGED_GENERATION_SHIFT == run->generation << 16 >> 16;
}

static __always_inline __u32 judged_slot(__u64 judged) {
  return judged >> JUDGED_SLOT_SHIFT & ((1u << MARK_SLOT_BITS) - 1);
}

static __always_inline __u32 judged_verdict(__u64 judged) { return judged & 1; }

/* The verdict for packets of this peer, in force until the generation moves. */
static __always_inline void flow_cache(struct flow *flow, const struct run *run, __u32 peer_slot, __u32 rule,
                                       __u32 verdict) {
  flow->rule = rule;
  *(volatile __u64 *)&flow->judged = judged_of(run, peer_slot, verdict);
}

static __always_inline struct flow4_key flow4_key_of(const struct packet *packet) {
  return (struct flow4_key){
      .peer = packet->peer[0],
      .peer_port = packet->peer_port,
      .local_port = packet->local_port,
      .protocol = packet->protocol,
  };
}

static __always_inline const struct flow6_key *flow6_key_of(const struct packet *packet) {
  _Static_assert(__builtin_offsetof(struct packet, pad) - __builtin_offsetof(struct packet, peer) ==
                     __builtin_offsetof(struct flow6_key, pad),
                 "a packet holds its key");
  return (const void *)packet->peer;
}

/* In the table of the endpoint in this slot, live or not. */
static __always_inline struct flow *flow_find(__u32 slot, const struct packet *packet, const int family) {
  struct flow *flow;

  if (family == 4) {
    struct flow4_key key = flow4_key_of(packet);
    void *table = LOOKUP(flows4, &slot);

    if (!table) return 0;
    flow = bpf_map_lookup_elem(table, &key);
  } else {
    void *table = LOOKUP(flows6, &slot);

    if (!table) return 0;
    flow = bpf_map_lookup_elem(table, flow6_key_of(packet));
  }
  UNMERGED(flow);
  return flow;
}

static __always_inline __u32 flow_idle_time(__u32 protocol, __u32 state) {
  switch (protocol) {
  case IPPROTO_TCP:
  case IPPROTO_SCTP:
    if (state == FLOW_ESTABLISHED) return idle_tcp_established;
    if (state == FLOW_OPENING) return idle_tcp_opening;
    return state == FLOW_CLOSING ? idle_tcp_closing : idle_tcp_closed;
  case IPPROTO_UDP:
    return state == FLOW_ESTABLISHED ? idle_udp_established : idle_udp;
  case IPPROTO_ICMP:
  case IPPROTO_ICMPV6:
    return idle_icmp;
  }
  return idle_other;
}

/* Another CPU may be some ticks ahead of this run, and have seen a packet after its `now`. */
#define TICKS_AHEAD 1000

/* One that was idle for too long counts as absent. */
static __always_inline bool flow_is_live(const struct flow *flow, const struct packet *packet, __u32 now) {
  __u32 idle = now - flow->seen;

  if (!idle || idle + TICKS_AHEAD < flow_idle_time(packet->protocol, flow->state) + TICKS_AHEAD) return true;
  return flow->unaged && flow->state == FLOW_ESTABLISHED;
}

static __always_inline void flow_progress(struct flow *flow, const struct packet *packet, const bool from_local) {
  if (packet->flags & PACKET_RST) {
    flow->state = FLOW_CLOSED;
  } else if (packet->flags & PACKET_FIN) {
    flow->fins |= from_local ? FLOW_FIN_LOCAL : FLOW_FIN_PEER;
    flow->state = flow->fins == FLOW_FIN_BOTH ? FLOW_CLOSED : FLOW_CLOSING;
  } else if (flow->state == FLOW_OPENING && from_local != (flow->origin == FLOW_BY_LOCAL)) {
    flow->state = FLOW_ESTABLISHED;
  }
}

/* An admitted packet of this flow was seen. Written only when it tells something new: the line is shared. */
static __always_inline void flow_touch(struct flow *flow, const struct packet *packet, const struct run *run,
                                       const bool from_local) {
  if (flow->seen != run->now) {
    flow->seen = run->now;
    flow->unaged = run->unisolated;
  }
  if (unlikely(flow->state == FLOW_OPENING || packet->flags & (PACKET_FIN | PACKET_RST)))
    flow_progress(flow, packet, from_local);
}

/* A connection under way stays whose it is, even when a packet comes that would open it from the other side. */
static __always_inline bool flow_is_under_way(const struct flow *flow, const struct packet *packet, __u32 now) {
  if (!flow_is_live(flow, packet, now)) return false;
  return flow->state == FLOW_OPENING || flow->state == FLOW_ESTABLISHED;
}

/* A TCP or SCTP connection that its own side opens anew, on a port used again. */
static __always_inline bool flow_restarts(const struct flow *flow, const struct packet *packet, __u8 origin) {
  return flow->origin == origin && flow->state == FLOW_ESTABLISHED &&
         (packet->protocol == IPPROTO_TCP || packet->protocol == IPPROTO_SCTP);
}

/* Whether this packet makes an entry when it is admitted; live: there is one. */
static __always_inline bool flow_opens(const struct packet *packet, bool live) {
  if (packet->flags & (PACKET_LATER | PACKET_NO_PORTS | PACKET_NO_FLOW | PACKET_FIN | PACKET_RST)) return false;
  if (packet->flags & PACKET_OPENING) return true;
  return !live && packet->flags & PACKET_OPENS_IF_NEW;
}

/* How: BPF_ANY, or BPF_NOEXIST for one that is most likely not there yet. Returns whether there is none now. */
static __always_inline bool flow_add_fails(const struct run *run, const struct packet *packet, const struct flow *fresh,
                                           const __u64 how, const int family) {
  __u32 slot = run->slot;

  if (family == 4) {
    struct flow4_key key = flow4_key_of(packet);
    void *table = LOOKUP(flows4, &slot);

    return !table || bpf_map_update_elem(table, &key, fresh, how);
  }
  void *table = LOOKUP(flows6, &slot);

  return !table || bpf_map_update_elem(table, flow6_key_of(packet), fresh, how);
}

/* A new entry, or a new life for the one that there is: judged last, so that no verdict outlives its flow. */
static __always_inline void flow_begin(const struct run *run, const struct packet *packet, struct flow *flow,
                                       const struct flow *fresh, const int family) {
  if (flow) {
    *(volatile __u64 *)&flow->judged = 0;
    flow->seen = fresh->seen;
    flow->rule = fresh->rule;
    flow->origin = fresh->origin;
    flow->state = fresh->state;
    flow->fins = 0;
    flow->translated = fresh->translated;
    flow->unaged = fresh->unaged;
    *(volatile __u64 *)&flow->judged = fresh->judged;
    return;
  }
  if (flow_add_fails(run, packet, fresh, BPF_ANY, family)) loss_count(LOSS_FLOW);
}

/* A connection that was under way before there was an entry; judged at its next packet. */
static __always_inline void flow_restore(const struct run *run, const struct packet *packet, struct flow *flow,
                                         __u32 origin, const int family) {
  struct flow known = {
      .seen = run->now,
      .origin = origin,
      .state = FLOW_ESTABLISHED,
      .unaged = run->unisolated,
  };

  flow_begin(run, packet, flow, &known, family);
}
