/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Both directions of a request under one state: the requester's egress and the responder's ingress, as far as they
 * are endpoints of this node. Replies are judged by the request that they answer.
 */
#pragma once

#include "flow.h"
#include "policy.h"

/* What one direction of one endpoint says. */
struct side {
  __u32 ifindex; /* 0: not judged */
  __u32 ruleset;
  __u32 rule;
  __u32 reason;
};

/* Slots and no pointers: judging is a function that the verifier looks at once, by itself. */
struct question {
  __u32 local; /* slot of the endpoint at the hook */
  __u32 peer;  /* slot of the endpoint on the other side, 0 when it is not one of this node's */
  __u32 copy;
  __u8 origin;      /* enum flow_origin: who requests */
  __u8 spare_peer;  /* 1: the peer's direction is not asked */
  __u8 spare_local; /* 1: nor the local one's */
  __u8 pad;
};

struct judgement {
  struct side egress;
  struct side ingress;
};

static __always_inline bool reason_allows(__u32 reason) { return reason <= REASON_ALLOW_MAX; }

static __always_inline __u32 endpoint_identity(const struct endpoint *endpoint, const int family) {
  return family == 4 ? endpoint->identity4 : endpoint->identity6;
}

struct asked {
  const struct packet *packet;
  const struct question *question;
  const struct endpoint *local;
  const struct endpoint *peer;
};

/* The endpoint at the hook may be addressed by another address than its own: multicast, broadcast. */
static __always_inline __u32 local_identity(const struct asked *asked, const int family) {
  __u32 flags;

  if (likely(packet_is_own(asked->packet, asked->local, family))) return endpoint_identity(asked->local, family);
  return identity_of(asked->question->copy, asked->packet->local, &flags, family);
}

static __always_inline __u32 peer_identity(const struct asked *asked, const int family) {
  __u32 flags;

  if (asked->peer) return endpoint_identity(asked->peer, family);
  return identity_of(asked->question->copy, asked->packet->peer, &flags, family);
}

static __always_inline __u32 port_word(struct port port) {
  return port_order(port.protocol, port.number) | (port.known ? 0 : PORT_UNKNOWN);
}

/* "By default, a pod is non-isolated": then all is allowed in that direction. */
static __always_inline void judge_side(const struct asked *asked, struct side *side, bool of_local, const int family) {
  const struct endpoint *endpoint = of_local ? asked->local : asked->peer;
  const struct packet *packet = asked->packet;
  bool requesting = asked->question->origin == FLOW_BY_LOCAL;
  __u32 ruleset = requesting == of_local ? endpoint->egress_ruleset : endpoint->ingress_ruleset;

  side->ifindex = endpoint->ifindex;
  side->ruleset = ruleset;
  side->reason = REASON_ALLOW_UNISOLATED;
  if (!ruleset) return;
  __u32 identity = of_local ? peer_identity(asked, family) : local_identity(asked, family);
  struct port port = port_of(packet, requesting ? packet->peer_port : packet->local_port);

  side->reason = policy_judge(asked->question->copy, ruleset, identity, port_word(port), &side->rule);
}

/* The reason that decides: the first one that drops, else that of the local endpoint's direction. */
static __always_inline __u32 judge(const struct packet *packet, const struct question *question,
                                   struct judgement *judgement, const int family) {
  struct asked asked = {
      .packet = packet,
      .question = question,
      .local = endpoint_find(question->copy, question->local),
      .peer = question->peer ? endpoint_find(question->copy, question->peer) : 0,
  };
  bool requesting = question->origin == FLOW_BY_LOCAL;

  judgement->egress = (struct side){};
  judgement->ingress = (struct side){};
  if (asked.local && !question->spare_local)
    judge_side(&asked, requesting ? &judgement->egress : &judgement->ingress, true, family);
  if (asked.local && asked.peer && !question->spare_peer)
    judge_side(&asked, requesting ? &judgement->ingress : &judgement->egress, false, family);
  if (!reason_allows(judgement->egress.reason)) return judgement->egress.reason;
  if (!reason_allows(judgement->ingress.reason)) return judgement->ingress.reason;
  return requesting ? judgement->egress.reason : judgement->ingress.reason;
}

__noinline __u32 judge4(const struct packet *packet, const struct question *question, struct judgement *judgement) {
  if (!packet || !question || !judgement) return REASON_DROP_MALFORMED;
  return judge(packet, question, judgement, 4);
}

__noinline __u32 judge6(const struct packet *packet, const struct question *question, struct judgement *judgement) {
  if (!packet || !question || !judgement) return REASON_DROP_MALFORMED;
  return judge(packet, question, judgement, 6);
}

static __always_inline __u32 judge_family(const struct packet *packet, const struct question *question,
                                          struct judgement *judgement, const int family) {
  return family == 4 ? judge4(packet, question, judgement) : judge6(packet, question, judgement);
}

/* An ICMP error that no rule admits: what it lacks is an admitted flow that it is about. */
static __always_inline void judgement_unrelated(struct judgement *judgement) {
  if (judgement->egress.reason == REASON_DROP_POLICY) judgement->egress.reason = REASON_DROP_UNRELATED;
  if (judgement->ingress.reason == REASON_DROP_POLICY) judgement->ingress.reason = REASON_DROP_UNRELATED;
}
