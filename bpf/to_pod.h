/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What reaches a pod: the marked sender's egress and the receiver's ingress, judged together, under one state, on the
 * addresses that are left after every translation.
 */
#pragma once

#include "conntrack.h"
#include "icmp.h"
#include "link.h"
#include "neighbour.h"
#include "parse.h"
#include "to_node.h"

/* What can't be read is not admitted where either end is isolated. */
static __always_inline bool to_pod_guarded(const struct __sk_buff *skb, const struct run *run,
                                           const struct endpoint *endpoint) {
  struct endpoint *sender = endpoint_in_slot(run, mark_slot(run->mark));

  if (endpoint->ingress_ruleset || is_orphan(skb, run)) return true;
  return sender && sender->egress_ruleset && !mark_is_reply(run->mark);
}

/*
 * A reply by the receiver's own flows. Where the peer is shown by another address than its own (a Service), the request
 * can't be judged from here: the sender's own flows have judged it, or conntrack names the real ends. VERDICT_ALLOW,
 * VERDICT_DENY, or -1: can't be told, judge it as a request.
 */
static __always_inline int to_pod_reply(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                        __u64 judged, struct judgement *judgement, const int family) {
  __u32 slot = mark_slot(run->mark);
  struct endpoint *sender = endpoint_in_slot(run, slot);
  bool translated =
      sender ? !is_address_of(packet->peer, sender, family) : judged_translated(judged) || !judged_ever(judged);

  if (!translated) return judge_flow(run, packet, judged, slot, judgement, family) ? VERDICT_ALLOW : VERDICT_DENY;
  if (!sender || !mark_is_reply(run->mark)) {
    int verdict = conntrack_verdict(skb, run, packet, judgement, CONNTRACK_REPLY, family);

    if (verdict == VERDICT_DENY) return VERDICT_DENY;
    if (verdict < 0 && sender && !judged_verdict(judged)) return -1;
    /* A peer elsewhere that conntrack does not know was not translated: nothing else does that. */
    if (verdict < 0 && !sender && conntrack)
      return judge_flow(run, packet, judged, slot, judgement, family) ? VERDICT_ALLOW : VERDICT_DENY;
  }
  flow_cache(run, packet, judged, judged_of(run, slot, VERDICT_ALLOW) | JUDGED_TRANSLATED, family);
  return VERDICT_ALLOW;
}

/*
 * A request, judged. "Traffic from the node" is what it makes itself, by an own address; what came in by an interface
 * and bears one was masqueraded, and is judged by who sent it, as far as conntrack knows.
 */
static __always_inline bool to_pod_request(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                           struct judgement *judgement, const int family) {
  struct question question = {
      .peer_slot = mark_slot(run->mark),
      .origin = FLOW_BY_PEER,
      .spare_peer = mark_is_reply(run->mark),
  };
  bool allowed = judge_allows(run, packet, &question, judgement, family);

  if (likely(!(judgement->peer_flags & ADDRESS_OWN_NODE))) return allowed;
  if (!skb->ingress_ifindex) {
    judgement->ingress.reason = REASON_ALLOW_NODE;
    judgement->ingress.rule = 0;
    return true;
  }
  int verdict = conntrack_verdict(skb, run, packet, judgement, CONNTRACK_ORIGINAL, family);

  return verdict < 0 ? allowed : verdict == VERDICT_ALLOW;
}

/* A reply of the pod's own connection whose entry was lost or never made, by conntrack's word: the entry is made. */
static __always_inline bool to_pod_restore(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                           const int family) {
  if (conntrack_ask(skb, run, packet, family) != CONNTRACK_REPLY) return false;
  flow_restore(run, packet, FLOW_BY_LOCAL, family);
  return true;
}

/* An admitted request: a new entry, or the verdict kept in the one that there is. */
static __always_inline void to_pod_admit(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                         struct flow *flow, __u64 judged, bool live, const struct judgement *judgement,
                                         const int family) {
  __u32 slot = mark_slot(run->mark);
  bool opens = flow_opens(packet, live);

  /* The sender's flows call it a reply: then the pod has begun it. Nothing to keep: the egress was not asked. */
  if (slot && mark_is_reply(run->mark)) {
    if (opens && packet->flags & PACKET_OPENS_IF_NEW) flow_restore(run, packet, FLOW_BY_LOCAL, family);
    return;
  }
  struct flow fresh = {
      .judged = judged_of(run, slot, VERDICT_ALLOW) | JUDGED_BY_PEER,
      .seen = run->now,
      .state = FLOW_OPENING,
      .unaged = run->unisolated,
  };

  /* An opening packet is a request whatever its entry says, and most have none: only now, admitted, does it matter. */
  if (opens && packet->flags & PACKET_OPENING) {
    if (flow_add(run, packet, &fresh, family) == FLOW_PUT) goto begun;
    flow = flow_find(run->slot, packet, &judged, family);
    live = flow && flow_is_live(flow, run->now);
  }
  if (live && (!opens || (flow_is_under_way(flow, run->now) && !flow_restarts(flow, judged, packet, FLOW_BY_PEER)))) {
    if (!judged_by_peer(judged)) return;
    flow_cache(run, packet, judged, judged_of(run, slot, VERDICT_ALLOW), family);
    flow_touch(flow, judged, packet, run, false);
    return;
  }
  if (!opens) return;
  /* A sender of this node has asked conntrack itself before it called this a request. */
  if (!slot && packet->flags & PACKET_OPENS_IF_NEW && conntrack_may_know(run, packet, flow, false, family) &&
      to_pod_restore(skb, run, packet, family))
    return;
  flow_begin(run, packet, &fresh, family);
begun:
  admitted(skb, run, packet, judgement);
}

static __always_inline int to_pod_judge(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                        struct flow *flow, __u64 judged, const int family) {
  struct judgement judgement = {};
  bool live = flow && flow_is_live(flow, run->now);

  if (live && !judged_by_peer(judged) && !(packet->flags & PACKET_OPENING)) {
    int verdict = to_pod_reply(skb, run, packet, judged, &judgement, family);

    if (verdict == VERDICT_ALLOW) {
      flow_touch(flow, judged, packet, run, false);
      return CONTINUE;
    }
    /* What the pod began was refused and never answered: no connection, and this may be one, unless it is an answer. */
    live = !(packet->flags & PACKET_OPENS_IF_NEW && flow->state == FLOW_OPENING) || mark_is_reply(run->mark);
    if (verdict == VERDICT_DENY && live) return drop_judged(skb, run, packet, &judgement);
    __builtin_memset(&judgement, 0, sizeof(judgement));
  }
  if (unlikely(is_orphan(skb, run))) return drop(skb, run, packet, REASON_DROP_SOURCE);
  if (!to_pod_request(skb, run, packet, &judgement, family)) {
    if (!live && !(packet->flags & (PACKET_OPENING | PACKET_NO_PORTS | PACKET_NO_FLOW)) &&
        conntrack_may_know(run, packet, flow, false, family) &&
        conntrack_verdict(skb, run, packet, &judgement, CONNTRACK_REPLY, family) == VERDICT_ALLOW) {
      flow_restore(run, packet, FLOW_BY_LOCAL, family);
      return admit(skb, run, packet, REASON_ALLOW_REPLY);
    }
    if (packet->flags & PACKET_ICMP_ERROR) judgement_unrelated(&judgement);
    return drop_judged(skb, run, packet, &judgement);
  }
  to_pod_admit(skb, run, packet, flow, judged, live, &judgement, family);
  return CONTINUE;
}

static __noinline int to_pod_judge4(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                    struct flow *flow, __u64 judged) {
  return to_pod_judge(skb, run, packet, flow, judged, 4);
}

static __noinline int to_pod_judge6(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                    struct flow *flow, __u64 judged) {
  return to_pod_judge(skb, run, packet, flow, judged, 6);
}

/*
 * In mid-stream and no policy on either end: nothing to look up. A sender's ingress counts too: this may be a reply that
 * its own hook let through unseen, under a state before this one that did not isolate it.
 */
static __always_inline bool to_pod_unguarded(const struct run *run, const struct packet *packet) {
  if (!(packet->flags & PACKET_MIDSTREAM) || !run->unisolated) return false;
  if (!mark_slot(run->mark)) return true;
  const struct endpoint *sender = endpoint_find(run->copy, mark_slot(run->mark));

  return sender && sender->ifindex && is_unisolated(sender);
}

/*
 * 0, or the reason to drop what is not addressed to the pod. Where a bridge brings a frame is the hardware address's
 * affair, which any pod can forge: so a packet for one pod, admitted, would be had by another.
 */
static __always_inline int to_pod_stray(const struct packet *packet, bool from_node, const int family) {
  if (is_group_address(packet->local, family)) return 0;
  /* To a link-local address that the pod has only just got. */
  if (family == 6 && from_node && is_link_scope(packet, packet->peer, true)) return 0;
  return REASON_DROP_DESTINATION;
}

static __always_inline int to_pod_self(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                       const int family) {
  /* Its answer goes to the node when that has masqueraded it, and is to be known for one. */
  if (conntrack && packet->flags & PACKET_OPENS_IF_NEW) flow_leave_out(run, packet, true, family);
  return packet->flags & PACKET_OPENING ? admit(skb, run, packet, REASON_ALLOW_SELF) : CONTINUE;
}

static __always_inline int to_pod_ip(struct __sk_buff *skb, struct run *run, const struct endpoint *endpoint,
                                     const int family) {
  struct packet packet = {};
  struct flow *flow = 0;
  __u64 judged = 0;
  __u32 sender = mark_slot(run->mark);
  int unreadable = parse(skb, LINK_ETHERNET, &packet, false, family);

  if (unlikely(!packet.family))
    return to_pod_guarded(skb, run, endpoint) ? drop(skb, run, &packet, unreadable) : CONTINUE;
  if (unlikely(!packet_is_own(&packet, endpoint, family))) {
    int reason = to_pod_stray(&packet, !unreadable && !sender, family);

    if (reason) return drop(skb, run, &packet, reason);
    packet.flags |= PACKET_NO_FLOW;
  }
  /* "A pod cannot block access to itself", also through a Service. */
  if (unlikely(sender == run->slot)) return to_pod_self(skb, run, &packet, family);
  if (unlikely(unreadable)) return to_pod_guarded(skb, run, endpoint) ? drop(skb, run, &packet, unreadable) : CONTINUE;
  if (to_pod_unguarded(run, &packet)) return CONTINUE;
  if (family == 6 && unlikely(packet.protocol == IPPROTO_ICMPV6) && is_link_scope(&packet, packet.peer, !sender))
    return CONTINUE;
  if (unlikely(packet.flags & PACKET_FRAGMENT)) fragment_resolve(run, &packet);
  if (unlikely(packet.flags & PACKET_ICMP_ERROR)) {
    if (related_family(skb, run, &packet, family)) return admit(skb, run, &packet, REASON_ALLOW_RELATED);
  } else if (likely(!(packet.flags & (PACKET_NO_PORTS | PACKET_NO_FLOW | PACKET_OPENING)))) {
    flow = flow_find(run->slot, &packet, &judged, family);
    if (flow && likely((judged & JUDGED_VERDICT_MASK) == judged_of(run, sender, VERDICT_ALLOW)) &&
        likely(flow_is_live(flow, run->now))) {
      flow_touch(flow, judged, &packet, run, false);
      return CONTINUE;
    }
  }
  return family == 4 ? to_pod_judge4(skb, run, &packet, flow, judged) : to_pod_judge6(skb, run, &packet, flow, judged);
}

/* Open until its pod is known: to the node's pods it is a way out like any other, where their egress is judged. */
static __noinline int to_pod_unknown(struct __sk_buff *skb, struct run *run) {
  run->hook = HOOK_TO_NODE;
  run->mark = mark_field(skb);
  return mark_slot(run->mark) ? to_node_marked(skb, run, LINK_ETHERNET) : CONTINUE;
}

static __always_inline int to_pod_frame(struct __sk_buff *skb) {
  struct run run;
  int verdict;

  run_begin(&run, skb, HOOK_TO_POD);
  struct endpoint *endpoint = link_endpoint(skb, &run, &verdict);

  if (unlikely(!endpoint)) return verdict == CONTINUE ? to_pod_unknown(skb, &run) : verdict;
  run.mark = mark_field(skb);
  __be16 ethertype = link_ethertype(skb, LINK_ETHERNET);

  if (likely(ethertype == bpf_htons(ETH_P_IP))) return to_pod_ip(skb, &run, endpoint, 4);
  if (ethertype == bpf_htons(ETH_P_IPV6)) return to_pod_ip(skb, &run, endpoint, 6);
  if (ethertype == bpf_htons(ETH_P_ARP)) return CONTINUE;
  return to_pod_guarded(skb, &run, endpoint) ? drop_unknown_frame(skb, &run, ethertype) : CONTINUE;
}
