/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Counters and events: what user space learns of verdicts. Off the way of established packets. */
#pragma once

#include "judge.h"

/* What a tally holds, into the row of the counters that it was counted for. */
CHECKED_ALONE int tally_flush(const struct tally *tally) {
  if (!tally) return 0;
  struct counter_key key = {
      .ifindex = tally->ifindex,
      .rule = tally->rule,
      .direction = tally->direction,
      .reason = tally->reason,
  };
  struct counter *counter = LOOKUP(counters, &key);

  if (likely(counter)) {
    counter->packets += tally->packets;
    counter->bytes += tally->bytes;
    return 0;
  }
  struct counter fresh = {tally->packets, tally->bytes};

  if (bpf_map_update_elem(&counters, &key, &fresh, BPF_ANY)) loss_count(LOSS_COUNTER);
  return 0;
}

/*
 * A flood counts one row again and again: that takes no look-up in a hash. Returns the row's tally; there is always
 * one, but the verifier does not know it.
 */
static __always_inline struct tally *count(const struct __sk_buff *skb, const struct side *side, __u32 direction) {
  __u32 rule = side->reason == REASON_DROP_POLICY ? side->ruleset : side->rule;
  __u32 index = (side->slot << 2 | direction << 1 | reason_allows(side->reason)) & (TALLIES - 1);
  struct tally *tally = LOOKUP(tallies, &index);

  if (!tally) return 0;
  if (unlikely(tally->ifindex != side->ifindex || tally->rule != rule || tally->reason != side->reason)) {
    if (tally->packets) tally_flush(tally);
    tally->ifindex = side->ifindex;
    tally->rule = rule;
    tally->direction = direction;
    tally->reason = side->reason;
    tally->packets = 0;
    tally->bytes = 0;
  }
  tally->packets++;
  tally->bytes += skb->len;
  return tally;
}

/* Whether one more event may be told: in a flood, those that are left out say nothing new. */
static __always_inline bool tally_may_tell(struct tally *tally, __u32 now) {
  if (!event_limit || !tally) return true;
  if (now - tally->since >= event_window) {
    tally->since = now;
    tally->told = 0;
  }
  if (tally->told >= event_limit) {
    loss_count(LOSS_LIMITED);
    return false;
  }
  tally->told++;
  return true;
}

/* Source and destination in the order of the wire. */
static __always_inline void event_ends(struct event *event, const struct packet *packet, bool from_local) {
  if (from_local) {
    copy_words(event->source, packet->local);
    copy_words(event->destination, packet->peer);
  } else {
    copy_words(event->source, packet->peer);
    copy_words(event->destination, packet->local);
  }
  event->source_port = from_local ? packet->local_port : packet->peer_port;
  event->destination_port = from_local ? packet->peer_port : packet->local_port;
  if (packet->protocol == (packet->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
    event->destination_port = bpf_htons(packet->icmp_type << 8 | packet->icmp_code);
}

/* packet->family is 0 when it could not be read. */
static __always_inline void tell(const struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                 const struct side *side, __u32 direction) {
  struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

  if (!event) {
    loss_count(LOSS_EVENT);
    return;
  }
  event_ends(event, packet, hook_from_local(run->hook));
  event->time = bpf_ktime_get_coarse_ns();
  event->generation = run->generation;
  event->ifindex = side->ifindex;
  event->ruleset = side->ruleset;
  event->rule = side->rule;
  event->length = skb->len;
  event->ethertype = bpf_ntohs(skb->protocol);
  event->family = packet->family;
  event->protocol = packet->protocol;
  event->direction = direction;
  event->verdict = reason_allows(side->reason) ? VERDICT_ALLOW : VERDICT_DENY;
  event->reason = side->reason;
  event->hook = run->hook;
  event->pad = 0;
  bpf_ringbuf_submit(event, 0);
}

CHECKED_ALONE int tell_side(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                            const struct side *side, int direction) {
  if (run && packet && side) tell(skb, run, packet, side, direction);
  return 0;
}

/* A verdict of this side: counted, and told when it is wanted. */
static __always_inline void record(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                   const struct side *side, int direction) {
  struct tally *tally = count(skb, side, direction);

  if (event_mask & (reason_allows(side->reason) ? EVENTS_ADMITTED : EVENTS_DROPS) && tally_may_tell(tally, run->now))
    tell_side(skb, run, packet, side, direction);
}

/* A verdict that no ruleset gave, in the hook's own direction. */
static __always_inline void record_own(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                       __u32 reason) {
  struct endpoint *endpoint = endpoint_in_slot(run, run->slot);
  struct side side = {
      .ifindex = endpoint ? endpoint->ifindex : run->ifindex,
      .reason = reason,
      .slot = run->slot,
  };

  record(skb, run, packet, &side, hook_from_local(run->hook) ? DIRECTION_EGRESS : DIRECTION_INGRESS);
}

/* Drops for what the packet is. */
CHECKED_ALONE int drop(struct __sk_buff *skb, const struct run *run, const struct packet *packet, __u32 reason) {
  if (run && packet) record_own(skb, run, packet, reason);
  return TC_ACT_SHOT;
}

/* Admits what no ruleset has a say in. */
CHECKED_ALONE int admit(struct __sk_buff *skb, const struct run *run, const struct packet *packet, __u32 reason) {
  if (run && packet) record_own(skb, run, packet, reason);
  return CONTINUE;
}

/* Drops for the direction that does not admit it. */
static __always_inline int drop_judged(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                       const struct judgement *judgement) {
  bool egress = !reason_allows(judgement->egress.reason);

  record(skb, run, packet, egress ? &judgement->egress : &judgement->ingress,
         egress ? DIRECTION_EGRESS : DIRECTION_INGRESS);
  return TC_ACT_SHOT;
}

/* A new connection was admitted: by each direction that was judged. */
static __always_inline void admitted(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                     const struct judgement *judgement) {
  if (judgement->egress.ifindex) record(skb, run, packet, &judgement->egress, DIRECTION_EGRESS);
  if (judgement->ingress.ifindex) record(skb, run, packet, &judgement->ingress, DIRECTION_INGRESS);
}
