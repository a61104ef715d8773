/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Both directions of a request under one state: the requester's egress and the responder's ingress, as far as they are
 * endpoints of this node. Replies are judged by the request that they answer.
 */
#pragma once

#include "flow.h"
#include "mark.h"
#include "policy.h"

/*
 * Who requests of whom: the endpoint at the hook (the run's slot) and whoever is on the other side. Slots and no
 * pointers, as for every function that is CHECKED_ALONE.
 */
struct question {
  __u32 peer_slot; /* 0: not an endpoint of this node */
  __u8 origin;     /* enum flow_origin: which side requests */
  __u8 spare_peer; /* 1: the peer's direction is not asked */
  __u16 pad;
};

/* What one direction of one endpoint says. */
struct side {
  __u32 ifindex; /* 0: not judged */
  __u32 ruleset;
  __u32 rule;
  __u16 reason; /* enum reason */
  __u16 slot;
};

struct judgement {
  struct side egress;
  struct side ingress;
  __u32 peer_flags; /* enum address_flag, where the peer's address was looked up */
  __u32 pad;
};

static __always_inline bool reason_allows(__u32 reason) { return reason <= REASON_ALLOW_MAX; }

/* An ICMP error that no rule admits: what it lacks is an admitted flow that it is about. */
static __always_inline void judgement_unrelated(struct judgement *judgement) {
  if (judgement->egress.reason == REASON_DROP_POLICY) judgement->egress.reason = REASON_DROP_UNRELATED;
  if (judgement->ingress.reason == REASON_DROP_POLICY) judgement->ingress.reason = REASON_DROP_UNRELATED;
}

/* The sending endpoint of a mark or a cached verdict, unless it is gone by now. */
static __always_inline struct endpoint *endpoint_in_slot(const struct run *run, __u32 slot) {
  struct endpoint *endpoint = slot ? endpoint_find(run->copy, slot) : 0;

  return endpoint && endpoint->ifindex ? endpoint : 0;
}

/*
 * Marked by a pod that has no record any more: it lay in a queue while its sender went. What that one might send nobody
 * can say; a reply was admitted by the one that it goes to. A mark that the node's own packet bears is not ours.
 */
static __always_inline bool is_orphan(const struct __sk_buff *skb, const struct run *run) {
  __u32 slot = mark_slot(run->mark);

  return slot && !mark_is_reply(run->mark) && skb->ingress_ifindex && !endpoint_in_slot(run, slot);
}

/* Of an endpoint without any look-up; of another address, multicast and broadcast too, by the maps. */
static __always_inline __u32 end_identity(const struct run *run, const struct endpoint *endpoint, const __be32 *address,
                                          __u32 *flags, const int family) {
  if (endpoint) return family == 4 ? endpoint->identity4 : endpoint->identity6;
  return identity_of(run, address, flags, family);
}

/* The endpoint itself, or 0 when the packet is to another address than its own. */
static __always_inline const struct endpoint *own_end(const struct packet *packet, const struct endpoint *endpoint,
                                                      const int family) {
  return endpoint && packet_is_own(packet, endpoint, family) ? endpoint : 0;
}

/* "By default, a pod is non-isolated": then all is allowed in that direction. */
static __always_inline void judge(const struct run *run, const struct packet *packet, const struct question *question,
                                  struct judgement *judgement, const int family) {
  __u32 local_slot = run->slot, peer_slot = question->peer_slot;
  const struct endpoint *local = endpoint_in_slot(run, local_slot), *peer = endpoint_in_slot(run, peer_slot);
  bool by_local = question->origin == FLOW_BY_LOCAL, spare_peer = question->spare_peer;
  const struct endpoint *requester = by_local ? local : peer, *responder = by_local ? peer : local;
  __u32 port = port_of(packet, by_local ? packet->peer_port : packet->local_port), ignored;

  if (requester && !(spare_peer && !by_local)) {
    struct side *side = &judgement->egress;
    __u32 ruleset = requester->egress_ruleset;

    side->ifindex = requester->ifindex;
    side->slot = by_local ? local_slot : peer_slot;
    side->ruleset = ruleset;
    side->reason = REASON_ALLOW_UNISOLATED;
    if (ruleset) {
      __u32 identity = by_local ? end_identity(run, peer, packet->peer, &judgement->peer_flags, family)
                                : end_identity(run, own_end(packet, local, family), packet->local, &ignored, family);

      side->reason = policy_judge(run, ruleset, identity, port, &side->rule);
      if (!reason_allows(side->reason)) return;
    }
  }
  if (responder && !(spare_peer && by_local)) {
    struct side *side = &judgement->ingress;
    __u32 ruleset = responder->ingress_ruleset;

    side->ifindex = responder->ifindex;
    side->slot = by_local ? peer_slot : local_slot;
    side->ruleset = ruleset;
    side->reason = REASON_ALLOW_UNISOLATED;
    if (ruleset) {
      __u32 identity = by_local ? end_identity(run, own_end(packet, local, family), packet->local, &ignored, family)
                                : end_identity(run, peer, packet->peer, &judgement->peer_flags, family);

      side->reason = policy_judge(run, ruleset, identity, port, &side->rule);
    }
  }
}

CHECKED_ALONE int judge4(const struct run *run, const struct packet *packet, const struct question *question,
                         struct judgement *judgement) {
  if (run && packet && question && judgement) judge(run, packet, question, judgement, 4);
  return 0;
}

CHECKED_ALONE int judge6(const struct run *run, const struct packet *packet, const struct question *question,
                         struct judgement *judgement) {
  if (run && packet && question && judgement) judge(run, packet, question, judgement, 6);
  return 0;
}

/* Whether a request is admitted in both directions; the judgement comes zeroed. */
static __always_inline bool judge_allows(const struct run *run, const struct packet *packet,
                                         const struct question *question, struct judgement *judgement,
                                         const int family) {
  if (family == 4)
    judge4(run, packet, question, judgement);
  else
    judge6(run, packet, question, judgement);
  return reason_allows(judgement->egress.reason) && reason_allows(judgement->ingress.reason);
}
