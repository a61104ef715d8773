/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The frame around the packet, and the endpoint behind the interface. */
#pragma once

#include <linux/if_ether.h>
#include "event.h"
#include "fragment.h"

/* Link headers: Ethernet's, or none on the devices of WireGuard, IPIP and the like. */
#define LINK_ETHERNET ETH_HLEN
#define LINK_NONE     0

/* In network order; 0 when there is none. Tags that the device took off the frame count as if they were in it. */
static __always_inline __be16 link_ethertype(const struct __sk_buff *skb, const __u32 l2) {
  const struct ethhdr *frame = (void *)(long)skb->data;

  if (skb->vlan_present) return bpf_htons(ETH_P_8021Q);
  if (l2 == LINK_NONE) return skb->protocol;
  return (const void *)(frame + 1) <= (void *)(long)skb->data_end ? frame->h_proto : 0;
}

static __always_inline bool is_tag(__be16 ethertype) {
  return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

/* A call, so that the packet that was not read is no part of the caller's stack. */
static __noinline int drop_unread(struct __sk_buff *skb, const struct run *run, __u32 reason) {
  struct packet none = {};

  return drop(skb, run, &none, reason);
}

/* Neither IP nor ARP, seen where an isolated pod would send or get it. */
static __always_inline int drop_unknown_frame(struct __sk_buff *skb, const struct run *run, __be16 ethertype) {
  return drop_unread(skb, run, is_tag(ethertype) ? REASON_DROP_VLAN : REASON_DROP_ETHERTYPE);
}

/* The endpoint behind the run's interface; 0: there is none, and *verdict says what then. */
static __always_inline struct endpoint *link_endpoint(struct __sk_buff *skb, struct run *run, int *verdict) {
  struct slot *slot = slot_find(run->copy, run->ifindex);

  if (likely(slot && slot->slot)) {
    struct endpoint *endpoint = endpoint_find(run->copy, slot->slot);

    run->slot = slot->slot;
    if (likely(endpoint)) {
      run->unisolated = is_unisolated(endpoint);
      return endpoint;
    }
  }
  __u32 pending = slot ? slot->pending : PENDING_UNSET;

  if (pending == PENDING_UNSET) {
    struct settings *settings = settings_find(run->copy);

    if (settings) pending = settings->pending;
  }
  *verdict = CONTINUE;
  if (pending == PENDING_CLOSED) *verdict = drop_unread(skb, run, REASON_DROP_PENDING);
  return 0;
}
