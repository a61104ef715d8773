/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the kernel's own connection tracking knows of a packet that our flows do not know. */
#pragma once

#include "reply.h"

static __always_inline __u32 conntrack_judge_reply(struct __sk_buff *skb, const struct run *run,
                                                   const struct packet *packet, struct endpoint *sender,
                                                   struct judgement *judgement, const int family) {
  (void)skb, (void)run, (void)packet, (void)sender, (void)judgement, (void)family;
  return 0;
}

static __always_inline bool conntrack_admits(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                             const struct question *question, const int family) {
  (void)skb, (void)run, (void)packet, (void)question, (void)family;
  return false;
}
