/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What leaves the node: the marked sender's egress, judged on the destination that is left after translation. */
#pragma once

#include "link.h"
#include "mark.h"
#include "neighbour.h"
#include "parse.h"
#include "reply.h"

/* Judged: what wraps it, a tunnel's outer packet, is the node's own. */
static __always_inline int to_node_pass(struct __sk_buff *skb) {
  mark_write(skb, 0);
  return CONTINUE;
}

static __always_inline int to_node_judge(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                         __u64 judged, const int family) {
  struct judgement judgement = {};
  struct question question = {.origin = FLOW_BY_LOCAL};
  bool allowed = judge_allows(run, packet, &question, &judgement, family);
  bool fresh = packet->flags & PACKET_OPENING || (judged && !judged_ever(judged));

  /* The key hits: its peer and port are the real ones. */
  if (judged) flow_cache(run, packet, judged, judged_of(run, 0, allowed ? VERDICT_ALLOW : VERDICT_DENY), family);
  if (allowed) {
    if (fresh) admitted(skb, run, packet, &judgement);
    return to_node_pass(skb);
  }
  if (packet->flags & PACKET_ICMP_ERROR) judgement_unrelated(&judgement);
  return drop_judged(skb, run, packet, &judgement);
}

static __noinline int to_node_judge4(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                     __u64 judged) {
  return to_node_judge(skb, run, packet, judged, 4);
}

static __noinline int to_node_judge6(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                     __u64 judged) {
  return to_node_judge(skb, run, packet, judged, 6);
}

static __always_inline int to_node_reply(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                         __u64 judged, const int family) {
  struct judgement judgement = {};

  if (judge_flow(run, packet, judged, judged_slot(judged), &judgement, family)) return to_node_pass(skb);
  return drop_judged(skb, run, packet, &judgement);
}

static __noinline int to_node_reply4(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                     __u64 judged) {
  return to_node_reply(skb, run, packet, judged, 4);
}

static __noinline int to_node_reply6(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                     __u64 judged) {
  return to_node_reply(skb, run, packet, judged, 6);
}

static __always_inline int to_node_ip(struct __sk_buff *skb, struct run *run, const __u32 l2, const int family) {
  struct packet packet = {};
  __u64 judged = 0;
  int unreadable = parse(skb, l2, &packet, true, family);

  if (unlikely(unreadable)) return drop(skb, run, &packet, unreadable);
  if (family == 6 && unlikely(packet.protocol == IPPROTO_ICMPV6) && is_link_scope(&packet, packet.local, false))
    return to_node_pass(skb);
  if (unlikely(packet.flags & PACKET_FRAGMENT)) fragment_resolve(run, &packet);
  if (likely(!(packet.flags & (PACKET_NO_PORTS | PACKET_ICMP_ERROR)))) {
    struct flow *flow = flow_find(run->slot, &packet, &judged, family);

    if (unlikely(judged_by_peer(judged))) {
      /* A reply of a pod that was isolated since it passed from_pod, which had nothing to look up then. */
      if (!(packet.flags & PACKET_OPENING) && flow && flow_is_live(flow, run->now))
        return family == 4 ? to_node_reply4(skb, run, &packet, judged) : to_node_reply6(skb, run, &packet, judged);
      judged = 0;
    }
    if (likely((judged & ~JUDGED_KEY_MASK) == judged_of(run, 0, VERDICT_ALLOW))) return to_node_pass(skb);
  }
  return family == 4 ? to_node_judge4(skb, run, &packet, judged) : to_node_judge6(skb, run, &packet, judged);
}

/* What somebody's own endpoint sends; the run has the packet's mark. */
static __always_inline int to_node_marked(struct __sk_buff *skb, struct run *run, const __u32 l2) {
  if (unlikely(is_orphan(skb, run))) return drop_unread(skb, run, REASON_DROP_SOURCE);
  run->slot = mark_slot(run->mark);
  struct endpoint *endpoint = endpoint_find(run->copy, run->slot);

  if (mark_is_reply(run->mark) || !endpoint || !endpoint->egress_ruleset) return to_node_pass(skb);
  __be16 ethertype = link_ethertype(skb, l2);

  if (likely(ethertype == bpf_htons(ETH_P_IP))) return to_node_ip(skb, run, l2, 4);
  if (ethertype == bpf_htons(ETH_P_IPV6)) return to_node_ip(skb, run, l2, 6);
  if (ethertype == bpf_htons(ETH_P_ARP)) return to_node_pass(skb);
  return drop_unknown_frame(skb, run, ethertype);
}

static __always_inline int to_node_frame(struct __sk_buff *skb, const __u32 l2) {
  __u32 field = mark_field(skb);
  struct run run;

  if (!mark_slot(field)) return CONTINUE;
  run_begin(&run, skb, HOOK_TO_NODE);
  run.mark = field;
  return to_node_marked(skb, &run, l2);
}
