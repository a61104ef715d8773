/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A packet of a flow that there is, judged anew by the request that began it. */
#pragma once

#include "event.h"

static __always_inline bool is_address_of(const __be32 *address, const struct endpoint *endpoint, const int family) {
  if (family == 4) return address[0] == endpoint->address4;
  return words_equal(address, endpoint->address6, 4) || words_equal(address, endpoint->link_local6, 4);
}

/*
 * Whether packets between the endpoint and this peer are exempt: "traffic to and from the node where a Pod is running
 * is always allowed". A node's address may also stand for whom it masquerades; then requests are judged where they
 * arrive, and their replies pass.
 */
static __always_inline bool node_exempt(const struct run *run, const struct packet *packet, __u32 origin,
                                        const int family) {
  __u32 flags;

  identity_of(run, packet->peer, &flags, family);
  if (!(flags & ADDRESS_OWN_NODE)) return false;
  if (origin == FLOW_BY_PEER) return true;
  struct settings *settings = settings_find(run->copy);

  return !settings || !settings->judge_own_node;
}

/*
 * Whether a packet of a flow is admitted under the current generation; kept in the flow, whose word was found to be
 * `judged`. The packet may go in either direction; peer_slot names the endpoint on the other side.
 */
static __always_inline bool judge_flow(const struct run *run, const struct packet *packet, __u64 judged,
                                       __u32 peer_slot, struct judgement *judgement, const int family) {
  struct question question = {.peer_slot = peer_slot, .origin = judged_origin(judged)};
  bool exempt = !endpoint_in_slot(run, peer_slot) && node_exempt(run, packet, question.origin, family);

  /* Not kept: whom the node's address stands for shows in a request, or in the answer at from_pod. */
  if (exempt && judged_by_peer(judged)) return true;
  bool allowed = exempt || judge_allows(run, packet, &question, judgement, family);

  flow_cache(run, packet, judged, judged_of(run, peer_slot, allowed ? VERDICT_ALLOW : VERDICT_DENY), family);
  return allowed;
}
