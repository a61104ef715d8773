/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Our field of skb->mark: which endpoint sent this packet, and whether it is a reply by that endpoint's own flows. */
#pragma once

#include "packet.h"
#include "settings.h"

#define MARK_SLOT_MASK ((1u << MARK_SLOT_BITS) - 1)
#define MARK_REPLY     (1u << MARK_REPLY_BIT)
#define MARK_MASK      ((1u << MARK_BITS) - 1)

/*
 * 0 where one of the node's own sockets sends: that mark is the node's affair. No interface alone does not tell: IPv6 that
 * the kernel fragments anew on its way has lost it, and keeps the mark.
 */
static __always_inline __u32 mark_field(const struct __sk_buff *skb) {
  if (unlikely(!skb->ingress_ifindex && skb->sk)) return 0;
  return (skb->mark >> mark_shift) & MARK_MASK;
}

static __always_inline __u32 mark_slot(__u32 field) { return field & MARK_SLOT_MASK; }

static __always_inline bool mark_is_reply(__u32 field) { return field & MARK_REPLY; }

/* Others' bits stay as they are. */
static __always_inline void mark_write(struct __sk_buff *skb, __u32 field) {
  skb->mark = (skb->mark & ~(MARK_MASK << mark_shift)) | (field << mark_shift);
}
