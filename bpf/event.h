/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Counters and events: what user space learns of verdicts. Off the way of established packets. */
#pragma once

#include "judge.h"

static __always_inline void count(const struct __sk_buff *skb, const struct side *side, __u32 direction) {
  struct counter_key key = {
      .ifindex = side->ifindex,
      .rule = side->reason == REASON_DROP_POLICY ? side->ruleset : side->rule,
      .direction = direction,
      .reason = side->reason,
  };
  struct counter *counter = LOOKUP(counters, &key);

  if (counter) {
    counter->packets++;
    counter->bytes += skb->len;
    return;
  }
  struct counter fresh = {1, skb->len};

  if (bpf_map_update_elem(&counters, &key, &fresh, BPF_ANY)) loss_count(LOSS_COUNTER);
}

/* Source and destination in the order of the wire. */
static __always_inline void event_ends(struct event *event, const struct packet *packet, bool from_local) {
  const __be32 *source = from_local ? packet->local : packet->peer;
  const __be32 *destination = from_local ? packet->peer : packet->local;

  event->source_port = from_local ? packet->local_port : packet->peer_port;
  event->destination_port = from_local ? packet->peer_port : packet->local_port;
  if (packet->family == 4) {
    event->source[0] = source[0];
    event->destination[0] = destination[0];
  } else {
    copy_words(event->source, source);
    copy_words(event->destination, destination);
  }
  if (packet->protocol == (packet->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
    event->destination_port = bpf_htons(packet->icmp_type << 8 | packet->icmp_code);
}

/* packet->family is 0 when it could not be read. */
static __noinline int tell(const struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                           const struct side *side, __u32 direction) {
  struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

  if (!event) {
    loss_count(LOSS_EVENT);
    return 0;
  }
  __builtin_memset(event, 0, sizeof(*event));
  event->time = bpf_ktime_get_ns();
  event->generation = run->generation;
  event->ifindex = side->ifindex;
  event->ruleset = side->ruleset;
  event->rule = side->rule;
  event->length = skb->len;
  event->ethertype = bpf_ntohs(skb->protocol);
  event->direction = direction;
  event->verdict = reason_allows(side->reason) ? VERDICT_ALLOW : VERDICT_DENY;
  event->reason = side->reason;
  event->hook = run->hook;
  event->family = packet->family;
  if (packet->family) {
    event->protocol = packet->protocol;
    event_ends(event, packet, hook_from_local(run->hook));
  }
  bpf_ringbuf_submit(event, 0);
  return 0;
}

/* Dropped by policy, or for what the packet is. */
static __always_inline int drop_side(const struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                     const struct side *side, __u32 direction) {
  count(skb, side, direction);
  if (event_mask & EVENTS_DROPS) tell(skb, run, packet, side, direction);
  return TC_ACT_SHOT;
}

static __always_inline int drop_judged(const struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                       const struct judgement *judgement) {
  if (!reason_allows(judgement->egress.reason))
    return drop_side(skb, run, packet, &judgement->egress, DIRECTION_EGRESS);
  return drop_side(skb, run, packet, &judgement->ingress, DIRECTION_INGRESS);
}

static __noinline int drop(const struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                           __u32 reason) {
  struct side side = {.ifindex = run->ifindex, .reason = reason};

  if (run->endpoint) side.ifindex = run->endpoint->ifindex;
  return drop_side(skb, run, packet, &side, hook_from_local(run->hook) ? DIRECTION_EGRESS : DIRECTION_INGRESS);
}

/* A new connection was admitted: each direction that was judged counts, one event for the hook's own. */
static __always_inline void admitted(const struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                     const struct judgement *judgement) {
  if (judgement->egress.ifindex) count(skb, &judgement->egress, DIRECTION_EGRESS);
  if (judgement->ingress.ifindex) count(skb, &judgement->ingress, DIRECTION_INGRESS);
  if (!(event_mask & EVENTS_ADMITTED)) return;
  if (run->hook == HOOK_TO_POD)
    tell(skb, run, packet, &judgement->ingress, DIRECTION_INGRESS);
  else
    tell(skb, run, packet, &judgement->egress, DIRECTION_EGRESS);
}
