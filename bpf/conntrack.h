/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the kernel's own connection tracking knows of a packet that our flows do not: who began its connection, and
 * who the ends are behind every translation. Asked off the hot way only, for TCP and UDP, which is all it answers.
 */
#pragma once

#include "mark.h"
#include "reply.h"

/* The kernel's records, as far as they are read here; offsets come from its own BTF. */
struct nf_conntrack_man {
  union {
    __be32 all[4];
  } u3;
  union {
    __be16 all;
  } u;
} __attribute__((preserve_access_index));

struct nf_conntrack_tuple {
  struct nf_conntrack_man src;
} __attribute__((preserve_access_index));

struct nf_conntrack_tuple_hash {
  struct nf_conntrack_tuple tuple;
} __attribute__((preserve_access_index));

struct nf_conn {
  struct nf_conntrack_tuple_hash tuplehash[2];
} __attribute__((preserve_access_index));

/* struct bpf_ct_opts in its first form, which later kernels take too. */
struct conntrack_options {
  __s32 netns_id;
  __s32 error;
  __u8 protocol;
  __u8 direction;
  __u8 reserved[2];
};

enum conntrack_direction {
  CONNTRACK_ORIGINAL = 0,
  CONNTRACK_REPLY = 1,
  CONNTRACK_UNKNOWN = 2,
};

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple_size,
                                         struct conntrack_options *options, __u32 options_size) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *connection) __ksym __weak;

/*
 * The direction of this packet (enum conntrack_direction), and in `real` the packet as it would be without any
 * translation. From_pod sees packets before their translation: they are looked up as they are. Later hooks see what
 * comes out of it, which only the opposite direction's tuple has.
 */
static __always_inline int conntrack_find(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                          struct packet *real, const int family) {
  bool inverted = run->hook != HOOK_FROM_POD, local_first = hook_from_local(run->hook) != inverted;
  struct conntrack_options options = {.netns_id = BPF_F_CURRENT_NETNS, .protocol = packet->protocol};
  struct bpf_sock_tuple tuple = {};

  if (packet->protocol != IPPROTO_TCP && packet->protocol != IPPROTO_UDP) return CONNTRACK_UNKNOWN;
  __be16 source = local_first ? packet->local_port : packet->peer_port;
  __be16 destination = local_first ? packet->peer_port : packet->local_port;

  if (family == 4) {
    tuple.ipv4.saddr = local_first ? packet->local[0] : packet->peer[0];
    tuple.ipv4.daddr = local_first ? packet->peer[0] : packet->local[0];
    tuple.ipv4.sport = source;
    tuple.ipv4.dport = destination;
  } else {
    copy_words(tuple.ipv6.saddr, local_first ? packet->local : packet->peer);
    copy_words(tuple.ipv6.daddr, local_first ? packet->peer : packet->local);
    tuple.ipv6.sport = source;
    tuple.ipv6.dport = destination;
  }
  struct nf_conn *connection =
      bpf_skb_ct_lookup(skb, &tuple, family == 4 ? sizeof(tuple.ipv4) : sizeof(tuple.ipv6), &options, sizeof(options));

  if (!connection) return CONNTRACK_UNKNOWN;
  bool reply = inverted ? options.direction == CONNTRACK_ORIGINAL : options.direction == CONNTRACK_REPLY;
  /* The sender of a reply, or whom a request goes to, is the responder behind every translation. */
  bool peer_responds = reply != hook_from_local(run->hook);
  const struct nf_conntrack_tuple *responder = &connection->tuplehash[CONNTRACK_REPLY].tuple;
  const struct nf_conntrack_tuple *requester = &connection->tuplehash[CONNTRACK_ORIGINAL].tuple;

  *real = *packet;
#pragma unroll
  for (int i = 0; i < 4; i++) real->peer[i] = peer_responds ? responder->src.u3.all[i] : requester->src.u3.all[i];
  if (peer_responds)
    real->peer_port = responder->src.u.all;
  else
    real->local_port = responder->src.u.all;
  bpf_ct_release(connection);
  return reply ? CONNTRACK_REPLY : CONNTRACK_ORIGINAL;
}

CHECKED_ALONE int conntrack_find4(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                  struct packet *real) {
  if (!conntrack || !run || !packet || !real) return CONNTRACK_UNKNOWN;
  return conntrack_find(skb, run, packet, real, 4);
}

CHECKED_ALONE int conntrack_find6(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                  struct packet *real) {
  if (!conntrack || !run || !packet || !real) return CONNTRACK_UNKNOWN;
  return conntrack_find(skb, run, packet, real, 6);
}

/* The packet's direction alone. */
CHECKED_ALONE int conntrack_direction4(struct __sk_buff *skb, const struct run *run, const struct packet *packet) {
  struct packet real = {};

  return conntrack_find4(skb, run, packet, &real);
}

CHECKED_ALONE int conntrack_direction6(struct __sk_buff *skb, const struct run *run, const struct packet *packet) {
  struct packet real = {};

  return conntrack_find6(skb, run, packet, &real);
}

/*
 * Whether conntrack may know more of this packet, which has no live entry (flow: one that is idle for too long), than that
 * it is the first of its connection. by_peer: who would have begun it.
 */
static __always_inline bool conntrack_may_know(const struct run *run, const struct packet *packet,
                                               const struct flow *flow, const bool by_peer, const int family) {
  if (!conntrack) return false;
  if (flow || !(packet->flags & PACKET_OPENS_IF_NEW)) return true;
  if (packet->protocol != IPPROTO_UDP) return false;
  return family == 4 ? flow_may_be_lost4(run, packet, by_peer) : flow_may_be_lost6(run, packet, by_peer);
}

static __always_inline int conntrack_ask(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                         const int family) {
  if (!conntrack) return CONNTRACK_UNKNOWN;
  return family == 4 ? conntrack_direction4(skb, run, packet) : conntrack_direction6(skb, run, packet);
}

/* A call, so that its key is not one more word of the caller's stack. */
static __noinline bool own_node_is_judged(__u32 copy) {
  struct settings *settings = settings_find(copy);

  return settings && settings->judge_own_node;
}

/*
 * Judged by the connection's real ends, as far as this packet is of that direction; -1 else. Kernel 6.1 counts each
 * function's stack in steps of 32 bytes, 512 in all from the program down to the last call: this is 64, and all of it
 * are `real` and `question`.
 */
static __always_inline int conntrack_judge(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                           struct judgement *judgement, int direction, const int family) {
  struct packet real = {};

  if ((family == 4 ? conntrack_find4(skb, run, packet, &real) : conntrack_find6(skb, run, packet, &real)) != direction)
    return -1;
  struct endpoint *self = endpoint_in_slot(run, run->slot);
  struct question question = {
      .peer_slot = mark_slot(run->mark),
      .origin = (direction == CONNTRACK_REPLY) != hook_from_local(run->hook) ? FLOW_BY_LOCAL : FLOW_BY_PEER,
  };

  __builtin_memset(judgement, 0, sizeof(*judgement));
  /* "A pod cannot block access to itself", also through a Service. */
  if (self && is_address_of(real.peer, self, family)) return VERDICT_ALLOW;
  if (judge_allows(run, &real, &question, judgement, family)) return VERDICT_ALLOW;
  if (direction != CONNTRACK_REPLY || !(judgement->peer_flags & ADDRESS_OWN_NODE)) return VERDICT_DENY;
  /* "Traffic to and from the node where a Pod is running is always allowed." */
  return question.origin == FLOW_BY_LOCAL && own_node_is_judged(run->copy) ? VERDICT_DENY : VERDICT_ALLOW;
}

CHECKED_ALONE int conntrack_judge4(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                   struct judgement *judgement, int direction) {
  if (!conntrack || !run || !packet || !judgement) return -1;
  return conntrack_judge(skb, run, packet, judgement, direction, 4);
}

CHECKED_ALONE int conntrack_judge6(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                   struct judgement *judgement, int direction) {
  if (!conntrack || !run || !packet || !judgement) return -1;
  return conntrack_judge(skb, run, packet, judgement, direction, 6);
}

/*
 * A packet at to_pod, judged by the request of its connection and that one's real ends: VERDICT_ALLOW, VERDICT_DENY,
 * or -1 where conntrack does not know the connection, or not as one of this direction; then the judgement stays.
 */
static __always_inline int conntrack_verdict(struct __sk_buff *skb, const struct run *run, const struct packet *packet,
                                             struct judgement *judgement, int direction, const int family) {
  if (!conntrack) return -1;
  return family == 4 ? conntrack_judge4(skb, run, packet, judgement, direction)
                     : conntrack_judge6(skb, run, packet, judgement, direction);
}
