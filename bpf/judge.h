/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Both directions of a request under one state: the requester's egress and the responder's ingress, as far as they are
 * endpoints of this node. Replies are judged by the request that they answer.
 */
#pragma once

#include "flow_loss.h"
#include "flow_put.h"
#include "flow_table.h"
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

/* Which end the requester is, for egress, or the responder, for ingress: the endpoint at the hook, or the peer. */
static __always_inline bool side_is_local(const struct question *question, const bool egress) {
  return (question->origin == FLOW_BY_LOCAL) == egress;
}

/* Whom the side's endpoint has to do with. */
static __always_inline __u32 opposite_identity(const struct run *run, const struct packet *packet,
                                               const struct question *question, struct judgement *judgement,
                                               const bool egress, const int family) {
  __u32 ignored;

  if (side_is_local(question, egress))
    return end_identity(run, endpoint_in_slot(run, question->peer_slot), packet->peer, &judgement->peer_flags, family);
  return end_identity(run, own_end(packet, endpoint_in_slot(run, run->slot), family), packet->local, &ignored, family);
}

/*
 * "By default, a pod is non-isolated": then all is allowed in that direction. What can be read again is not kept across a
 * look-up, where it would take a word of the stack.
 */
static __always_inline bool judge_side(const struct run *run, const struct packet *packet,
                                       const struct question *question, struct judgement *judgement, const bool egress,
                                       const int family) {
  struct side *side = egress ? &judgement->egress : &judgement->ingress;
  bool local = side_is_local(question, egress);
  __u32 slot = local ? run->slot : question->peer_slot;
  const struct endpoint *endpoint = endpoint_in_slot(run, slot);

  if (!endpoint || (!local && question->spare_peer)) return true;
  side->ifindex = endpoint->ifindex;
  side->slot = slot;
  side->ruleset = egress ? endpoint->egress_ruleset : endpoint->ingress_ruleset;
  side->reason = REASON_ALLOW_UNISOLATED;
  if (!side->ruleset) return true;
  __u32 identity = opposite_identity(run, packet, question, judgement, egress, family);
  __u32 port = port_of(packet, question->origin == FLOW_BY_LOCAL ? packet->peer_port : packet->local_port);

  side->reason = policy_judge(run, side->ruleset, identity, port, &side->rule);
  return reason_allows(side->reason);
}

static __always_inline void judge(const struct run *run, const struct packet *packet, const struct question *question,
                                  struct judgement *judgement, const int family) {
  if (judge_side(run, packet, question, judgement, true, family))
    judge_side(run, packet, question, judgement, false, family);
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
