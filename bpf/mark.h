/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Our field of skb->mark: which endpoint sent this packet, and whether it is a reply by that endpoint's own flows. */
#pragma once

#include "packet.h"
#include "settings.h"

#define MARK_SLOT_MASK ((1u << MARK_SLOT_BITS) - 1)
#define MARK_REPLY     (1u << MARK_REPLY_BIT)
#define MARK_MASK      ((1u << MARK_BITS) - 1)

/*
 * Whatever interface it came by: what the kernel makes anew of a pod's packet, as fragments of IPv6, has the mark but no
 * ingress_ifindex. So a mark that others give the node's own packets is taken for ours (docs/operations.md, "Marks").
 */
static __always_inline __u32 mark_field(const struct __sk_buff *skb) { return (skb->mark >> mark_shift) & MARK_MASK; }

static __always_inline __u32 mark_slot(__u32 field) { return field & MARK_SLOT_MASK; }

static __always_inline bool mark_is_reply(__u32 field) { return field & MARK_REPLY; }

/* Others' bits stay as they are. */
static __always_inline void mark_write(struct __sk_buff *skb, __u32 field) {
  skb->mark = (skb->mark & ~(MARK_MASK << mark_shift)) | (field << mark_shift);
}
