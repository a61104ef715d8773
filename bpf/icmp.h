/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * ICMP errors: one about a packet of an admitted flow passes (path MTU), any other is judged like a packet without
 * ports. The packet inside went the other way than the error.
 */
#pragma once

#include "mark.h"
#include "parse_ip.h"
#include "reply.h"

/* Ports from the first 8 bytes behind the inner IP header, which an error must quote within itself. */
static __always_inline bool parse_quoted_transport(struct __sk_buff *skb, struct packet *inner, int from_local) {
  union {
    __be16 ports[4];
    struct {
      __u8 type, code;
      __be16 checksum, identifier;
    } icmp;
  } head;

  if (inner->offset + 8 > inner->end || bpf_skb_load_bytes(skb, inner->offset, &head, 8)) return false;
  switch (inner->protocol) {
  case IPPROTO_TCP:
  case IPPROTO_UDP:
  case IPPROTO_SCTP:
    packet_set_ports(inner, from_local, head.ports[0], head.ports[1]);
    return true;
  case IPPROTO_ICMP:
  case IPPROTO_ICMPV6:
    inner->icmp_type = head.icmp.type;
    parse_icmp(inner, from_local, head.icmp.identifier);
    /* Errors are not sent about errors. */
    return !(inner->flags & PACKET_ICMP_ERROR);
  }
  return true;
}

static __always_inline bool parse_quoted4(struct __sk_buff *skb, const struct packet *outer, struct packet *inner,
                                          int from_local) {
  __u32 offset = outer->offset + 8;
  struct iphdr ip;

  if (offset + sizeof(ip) > outer->end || bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip))) return false;
  __u32 header = (*(__u8 *)&ip & 0xf) * 4;

  if ((*(__u8 *)&ip & 0xf0) != 0x40 || header < sizeof(ip)) return false;
  if (ip.frag_off & bpf_htons(IPV4_OFFSET_MASK)) return false;
  inner->local[0] = from_local ? ip.saddr : ip.daddr;
  inner->peer[0] = from_local ? ip.daddr : ip.saddr;
  inner->protocol = ip.protocol;
  inner->offset = offset + header;
  inner->end = outer->end;
  return true;
}

static __always_inline bool parse_quoted6(struct __sk_buff *skb, const struct packet *outer, struct packet *inner,
                                          int from_local) {
  __u32 offset = outer->offset + 8;
  struct ipv6hdr ip;

  if (offset + sizeof(ip) > outer->end || bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip))) return false;
  if ((*(__u8 *)&ip & 0xf0) != 0x60) return false;
  copy_words(inner->local, from_local ? &ip.saddr : &ip.daddr);
  copy_words(inner->peer, from_local ? &ip.daddr : &ip.saddr);
  inner->protocol = ip.nexthdr;
  inner->offset = offset + sizeof(ip);
  inner->end = outer->end;
  return !parse_extensions6(skb, inner) && !(inner->flags & PACKET_LATER);
}

CHECKED_ALONE int parse_quoted(struct __sk_buff *skb, const struct packet *outer, struct packet *inner,
                               int from_local) {
  if (!outer || !inner) return 0;
  if (outer->family == 4 ? !parse_quoted4(skb, outer, inner, from_local)
                         : !parse_quoted6(skb, outer, inner, from_local))
    return 0;
  return parse_quoted_transport(skb, inner, from_local);
}

static __always_inline int related(struct __sk_buff *skb, const struct run *run, const struct packet *outer,
                                   const int family) {
  bool from_local = !hook_from_local(run->hook);
  struct packet inner = {.family = family};
  struct endpoint *local = endpoint_in_slot(run, run->slot);
  struct judgement judgement = {};

  if (!parse_quoted(skb, outer, &inner, from_local) || !local || !packet_is_own(&inner, local, family)) return 0;
  /* From a pod it goes to whom it is about and nowhere else: it carries what the pod puts in. */
  if (run->hook == HOOK_FROM_POD && !words_equal(outer->peer, inner.peer, family == 4 ? 1 : 4)) return 0;
  __u64 judged;
  struct flow *flow = flow_find(run->slot, &inner, &judged, family);

  if (!flow || !flow_is_live(flow, run->now)) return 0;
  __u32 slot = judged_slot(judged), sender = mark_slot(run->mark);

  if (sender && !mark_is_reply(run->mark)) {
    struct endpoint *endpoint = endpoint_in_slot(run, sender);

    if (!endpoint || !is_address_of(inner.peer, endpoint, family)) return 0;
    slot = sender;
  } else if (!judged_ever(judged)) {
    /* Never judged by this key. An answer would have been, by its real ends; without one it is by the key, which is not kept:
     * that of a Service says nothing of its backends. A pod itself has heard no reply. */
    struct question question = {.origin = judged_origin(judged)};

    if (run->hook != HOOK_TO_POD) return 0;
    return flow->state != FLOW_OPENING || judge_allows(run, &inner, &question, &judgement, family);
  }
  if (judged_is_current(judged, run) && judged_slot(judged) == slot) return judged_verdict(judged);
  if (judged_translated(judged)) return judged_verdict(judged);
  return judge_flow(run, &inner, judged, slot, &judgement, family);
}

CHECKED_ALONE int related4(struct __sk_buff *skb, const struct run *run, const struct packet *outer) {
  return run && outer ? related(skb, run, outer, 4) : 0;
}

CHECKED_ALONE int related6(struct __sk_buff *skb, const struct run *run, const struct packet *outer) {
  return run && outer ? related(skb, run, outer, 6) : 0;
}

/* 1 when this error is about an admitted flow of the run's endpoint. */
static __always_inline int related_family(struct __sk_buff *skb, const struct run *run, const struct packet *outer,
                                          const int family) {
  return family == 4 ? related4(skb, run, outer) : related6(skb, run, outer);
}
