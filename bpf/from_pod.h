/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What a pod sends: checked to be its own, entered into its flows, and marked with who sent it and whether it is a
 * reply. Requests are judged where their final destination shows, replies here, where the pod's own view of the
 * addresses is still theirs.
 */
#pragma once

#include "conntrack.h"
#include "icmp.h"
#include "link.h"
#include "neighbour.h"
#include "parse.h"

/*
 * Opens the pod's own connection. A SYN sent again, or one more echo request, leaves it as it is; but most are new, and
 * are looked up only when they prove not to be.
 */
static __always_inline int from_pod_open(const struct run *run, const struct packet *packet, const int family) {
  struct flow fresh = {.seen = run->now, .state = FLOW_OPENING, .unaged = run->unisolated};
  __u64 judged;

  if (packet->flags & PACKET_OPENING) {
    if (flow_add(run, packet, &fresh, family) == FLOW_PUT) return 0;
    struct flow *flow = flow_find(run->slot, packet, &judged, family);

    if (flow && flow_is_under_way(flow, run->now) && !flow_restarts(flow, judged, packet, FLOW_BY_LOCAL)) {
      if (!judged_by_peer(judged)) flow_touch(flow, judged, packet, run, true);
      return 0;
    }
  }
  flow_begin(run, packet, &fresh, family);
  return 0;
}

static __noinline int from_pod_open4(const struct run *run, const struct packet *packet) {
  return from_pod_open(run, packet, 4);
}

static __noinline int from_pod_open6(const struct run *run, const struct packet *packet) {
  return from_pod_open(run, packet, 6);
}

static __always_inline void from_pod_open_family(const struct run *run, const struct packet *packet, const int family) {
  if (family == 4)
    from_pod_open4(run, packet);
  else
    from_pod_open6(run, packet);
}

/*
 * The request that a reply answers, judged anew, both ends of it when the requester is of this node too. A node's
 * address may stand for whom the node masquerades: then the request was that one's, as far as conntrack knows.
 */
static __always_inline bool from_pod_answers(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                             __u64 judged, struct judgement *judgement, const int family) {
  struct question question = {.peer_slot = judged_slot(judged), .origin = FLOW_BY_PEER};
  bool allowed = judge_allows(run, packet, &question, judgement, family);

  if (judgement->peer_flags & ADDRESS_OWN_NODE)
    allowed = conntrack_verdict(skb, run, packet, judgement, CONNTRACK_REPLY, family) != VERDICT_DENY;
  flow_cache(run, packet, judged, judged_of(run, question.peer_slot, allowed ? VERDICT_ALLOW : VERDICT_DENY), family);
  return allowed;
}

/* A reply under a new generation: 0 or the verdict. */
static __always_inline int from_pod_reply(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                          __u64 judged, const int family) {
  struct judgement judgement = {};

  if (from_pod_answers(skb, run, packet, judged, &judgement, family)) return 0;
  return drop_judged(skb, run, packet, &judgement);
}

static __noinline int from_pod_reply4(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                      __u64 judged) {
  return from_pod_reply(skb, run, packet, judged, 4);
}

static __noinline int from_pod_reply6(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                      __u64 judged) {
  return from_pod_reply(skb, run, packet, judged, 6);
}

/*
 * No entry, and no opening packet by its looks: conntrack may know the connection, one that is older than the agent
 * or whose entry was evicted. MARK_REPLY, 0, or -1: dropped.
 */
static __always_inline int from_pod_unknown(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                            const struct flow *flow, const int family) {
  int direction =
      conntrack_may_know(run, packet, flow, true, family) ? conntrack_ask(skb, run, packet, family) : CONNTRACK_UNKNOWN;
  __u64 judged;

  if (direction == CONNTRACK_UNKNOWN || (direction == CONNTRACK_ORIGINAL && packet->flags & PACKET_OPENS_IF_NEW)) {
    if (flow_opens(packet, false)) from_pod_open_family(run, packet, family);
    return 0;
  }
  flow_restore(run, packet, direction == CONNTRACK_REPLY ? FLOW_BY_PEER : FLOW_BY_LOCAL, family);
  if (direction == CONNTRACK_ORIGINAL) return 0;
  if (!flow_find(run->slot, packet, &judged, family)) return 0;
  struct judgement judgement = {};

  if (from_pod_answers(skb, run, packet, judged, &judgement, family)) return MARK_REPLY;
  if (packet->flags & PACKET_OPENS_IF_NEW) {
    /* What it would answer was refused and may have been forged: then this is the pod's own request. */
    from_pod_open_family(run, packet, family);
    return 0;
  }
  drop_judged(skb, run, packet, &judgement);
  return -1;
}

static __noinline int from_pod_unknown4(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                        const struct flow *flow) {
  return from_pod_unknown(skb, run, packet, flow, 4);
}

static __noinline int from_pod_unknown6(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                        const struct flow *flow) {
  return from_pod_unknown(skb, run, packet, flow, 6);
}

/* By option, what a pod requests of its own node is judged: here, because no later hook sees it. 0 or the verdict. */
static __always_inline int from_pod_own_node(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                             const int family) {
  struct judgement judgement = {};
  struct question question = {.origin = FLOW_BY_LOCAL};
  __u32 flags;

  identity_of(run, packet->peer, &flags, family);
  if (!(flags & ADDRESS_OWN_NODE)) return 0;
  if (!judge_allows(run, packet, &question, &judgement, family)) return drop_judged(skb, run, packet, &judgement);
  if (packet->flags & PACKET_OPENING) admitted(skb, run, packet, &judgement);
  return 0;
}

CHECKED_ALONE int from_pod_own_node4(struct __sk_buff *skb, const struct run *run, const struct packet *packet) {
  return run && packet ? from_pod_own_node(skb, run, packet, 4) : 0;
}

CHECKED_ALONE int from_pod_own_node6(struct __sk_buff *skb, const struct run *run, const struct packet *packet) {
  return run && packet ? from_pod_own_node(skb, run, packet, 6) : 0;
}

/* Enters the packet into the pod's flows. MARK_REPLY for a reply, 0 for a request, or -1: dropped. */
static __always_inline int from_pod_flow(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                         const int family) {
  __u64 judged;
  struct flow *flow = packet->flags & PACKET_OPENING ? 0 : flow_find(run->slot, packet, &judged, family);
  bool live = flow && flow_is_live(flow, run->now);

  if (likely(live)) {
    bool reply = judged_by_peer(judged);

    if (reply && unlikely(!judged_is_current(judged, run) || !judged_verdict(judged)))
      if (family == 4 ? from_pod_reply4(skb, run, packet, judged) : from_pod_reply6(skb, run, packet, judged))
        return -1;
    flow_touch(flow, judged, packet, run, true);
    return reply ? MARK_REPLY : 0;
  }
  if (conntrack && !(packet->flags & (PACKET_OPENING | PACKET_NO_PORTS)))
    return family == 4 ? from_pod_unknown4(skb, run, packet, flow) : from_pod_unknown6(skb, run, packet, flow);
  if (flow_opens(packet, live)) from_pod_open_family(run, packet, family);
  return 0;
}

static __always_inline bool judges_own_node(const struct run *run) {
  struct settings *settings = settings_find(run->copy);

  return settings && settings->judge_own_node;
}

static __always_inline int from_pod_ip(struct __sk_buff *skb, struct run *run, const struct endpoint *endpoint,
                                       const int family) {
  struct packet packet = {};
  int reply = 0, unreadable = parse(skb, LINK_ETHERNET, &packet, true, family);
  bool own = packet.family && packet_is_own(&packet, endpoint, family);

  if (unlikely(unreadable)) {
    /* Without a readable header it can't even be said to be the pod's own. */
    if (!own || endpoint->egress_ruleset) return drop(skb, run, &packet, unreadable);
    goto pass;
  }
  if (family == 6 && unlikely(packet.protocol == IPPROTO_ICMPV6)) {
    int reason = neighbour_check(skb, run, &packet, own);

    if (reason) return drop(skb, run, &packet, reason);
    if (packet.flags & PACKET_LINK_SCOPE) goto pass;
  }
  if (unlikely(!own)) return drop(skb, run, &packet, REASON_DROP_SOURCE);
  if (packet.flags & PACKET_MIDSTREAM && run->unisolated) goto pass;
  if (unlikely(packet.flags & PACKET_FRAGMENT)) fragment_resolve(run, &packet);
  if (unlikely(packet.flags & PACKET_ICMP_ERROR)) {
    if (related_family(skb, run, &packet, family)) reply = MARK_REPLY;
  } else if (likely(!(packet.flags & PACKET_NO_PORTS))) {
    reply = from_pod_flow(skb, run, &packet, family);
    if (unlikely(reply < 0)) return TC_ACT_SHOT;
  }
  if (endpoint->egress_ruleset && !reply && unlikely(judges_own_node(run)))
    if (family == 4 ? from_pod_own_node4(skb, run, &packet) : from_pod_own_node6(skb, run, &packet)) return TC_ACT_SHOT;
pass:
  mark_write(skb, run->slot | reply);
  return CONTINUE;
}

static __always_inline int from_pod_arp(struct __sk_buff *skb, const struct run *run, const struct endpoint *endpoint) {
  int reason = arp_check(skb, endpoint);

  if (reason) return drop_unread(skb, run, reason);
  mark_write(skb, run->slot);
  return CONTINUE;
}

static __always_inline int from_pod_frame(struct __sk_buff *skb) {
  struct run run;
  int verdict;

  run_begin(&run, skb, HOOK_FROM_POD);
  struct endpoint *endpoint = link_endpoint(skb, &run, &verdict);

  if (unlikely(!endpoint)) {
    mark_write(skb, 0);
    return verdict;
  }
  __be16 ethertype = link_ethertype(skb, LINK_ETHERNET);

  if (likely(ethertype == bpf_htons(ETH_P_IP))) return from_pod_ip(skb, &run, endpoint, 4);
  if (ethertype == bpf_htons(ETH_P_IPV6)) return from_pod_ip(skb, &run, endpoint, 6);
  if (ethertype == bpf_htons(ETH_P_ARP)) return from_pod_arp(skb, &run, endpoint);
  /* A tagged frame may hold any inner address: a pod has no business with tags, under policy or not. */
  if (is_tag(ethertype) || endpoint->egress_ruleset) return drop_unknown_frame(skb, &run, ethertype);
  mark_write(skb, run.slot);
  return CONTINUE;
}
