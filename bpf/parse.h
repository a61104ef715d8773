/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * From bytes to a packet. The common case (no options or extension headers, no fragment, TCP or UDP, headers in the
 * linear part) is read in place; everything else goes the thorough way. What can't be read is REASON_DROP_MALFORMED.
 */
#pragma once

#include <linux/if_ether.h>
#include "parse_ip.h"

/* Enough of a TCP or UDP header; UDP's ends after the second word. */
struct transport_head {
  __be16 source;
  __be16 destination;
  __be32 second;
  __be32 third;
  __u8 data_offset;
  __u8 tcp_flags;
  __be16 window;
  __be32 fifth;
};

/* Ports and flags of a TCP or UDP header at hand; false when it is cut short. */
static __always_inline bool parse_transport_fast(struct packet *packet, const struct transport_head *head,
                                                 const void *end, __u32 length, const bool from_local) {
  if (packet->protocol == IPPROTO_TCP) {
    if ((const void *)(head + 1) > end || length < sizeof(*head) || head->data_offset < 5 << 4) return false;
    packet->flags = tcp_packet_flags(head->tcp_flags);
  } else {
    if ((const void *)&head->third > end || length < 8) return false;
    packet->flags = PACKET_OPENS_IF_NEW;
  }
  packet->local_port = from_local ? head->source : head->destination;
  packet->peer_port = from_local ? head->destination : head->source;
  return true;
}

static __always_inline bool parse_fast4(struct __sk_buff *skb, const __u32 l2, struct packet *packet,
                                        const bool from_local) {
  const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
  const struct iphdr *ip = data + l2;

  if ((const void *)(ip + 1) + 8 > end) return false;
  if (*(const __u8 *)ip != 0x45 || ip->frag_off & bpf_htons(IPV4_FRAGMENT_BITS)) return false;
  if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP) return false;
  __u32 total = bpf_ntohs(ip->tot_len);

  if (total > skb->len - l2 || total < sizeof(*ip)) return false;
  packet->local[0] = from_local ? ip->saddr : ip->daddr;
  packet->peer[0] = from_local ? ip->daddr : ip->saddr;
  packet->protocol = ip->protocol;
  return parse_transport_fast(packet, (const void *)(ip + 1), end, total - sizeof(*ip), from_local);
}

static __always_inline bool parse_fast6(struct __sk_buff *skb, const __u32 l2, struct packet *packet,
                                        const bool from_local) {
  const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
  const struct ipv6hdr *ip = data + l2;

  if ((const void *)(ip + 1) + 8 > end) return false;
  if ((*(const __u8 *)ip & 0xf0) != 0x60) return false;
  if (ip->nexthdr != IPPROTO_TCP && ip->nexthdr != IPPROTO_UDP) return false;
  __u32 length = bpf_ntohs(ip->payload_len);

  if (length + sizeof(*ip) > skb->len - l2) return false;
  copy_words(packet->local, from_local ? &ip->saddr : &ip->daddr);
  copy_words(packet->peer, from_local ? &ip->daddr : &ip->saddr);
  packet->protocol = ip->nexthdr;
  return parse_transport_fast(packet, (const void *)(ip + 1), end, length, from_local);
}

/* 0, or the reason to drop it. l2: length of the link's header. */
static __always_inline int parse(struct __sk_buff *skb, const __u32 l2, struct packet *packet, const bool from_local,
                                 const int family) {
  packet->family = family;
  if (family == 4) {
    if (likely(parse_fast4(skb, l2, packet, from_local))) return 0;
    return parse_thoroughly4(skb, l2, packet, from_local);
  }
  if (likely(parse_fast6(skb, l2, packet, from_local))) return 0;
  return parse_thoroughly6(skb, l2, packet, from_local);
}
