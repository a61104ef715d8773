/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the kernel's own connection tracking knows of a packet that our flows do not know. */
#pragma once

#include "mark.h"
#include "reply.h"

static __always_inline int conntrack_judge_reply(struct __sk_buff *skb, const struct run *run,
                                                 const struct packet *packet, struct judgement *judgement,
                                                 const int family) {
  (void)skb, (void)run, (void)packet, (void)judgement, (void)family;
  return -1;
}

static __always_inline bool conntrack_admits(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                             const struct question *question, const int family) {
  (void)skb, (void)run, (void)packet, (void)question, (void)family;
  return false;
}
