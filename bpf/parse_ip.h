/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The thorough way through IPv4 options and IPv6 extension headers. It reads by bpf_skb_load_bytes, so that headers
 * outside of an skb's linear part need no care.
 */
#pragma once

#include <linux/ip.h>
#include <linux/ipv6.h>
#include "parse_transport.h"

#define IPV4_OFFSET_MASK    0x1fff
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_FRAGMENT_BITS  (IPV4_OFFSET_MASK | IPV4_MORE_FRAGMENTS)

enum ipv4_option {
  IPV4_OPTION_END = 0,
  IPV4_OPTION_NOP = 1,
  IPV4_OPTION_LOOSE_ROUTE = 131,
  IPV4_OPTION_STRICT_ROUTE = 137,
};

struct extension_header {
  __u8 next;
  __u8 length; /* in units of 8 bytes, without the first 8 */
  __u8 routing_type;
  __u8 segments_left;
};

struct fragment_header {
  __u8 next;
  __u8 reserved;
  __be16 offset; /* in units of 8 bytes << 3 | more fragments */
  __be32 id;
};

/* An offset in bytes; what the first fragment holds must be its whole header, so no later one may overlap TCP's. */
static __always_inline int parse_fragment(struct packet *packet, __u32 offset, bool more, __be32 id) {
  if (!offset && !more) return 0;
  packet->flags |= offset ? PACKET_FRAGMENT | PACKET_LATER : PACKET_FRAGMENT;
  packet->fragment_id = id;
  packet->fragment_protocol = packet->protocol;
  return packet->protocol == IPPROTO_TCP && offset && offset < 20 ? REASON_DROP_MALFORMED : 0;
}

/* Source routes change the destination behind our back; other options mean nothing to a verdict. */
static __always_inline int parse_options4(struct __sk_buff *skb, __u32 offset, __u32 end) {
  for (int i = 0; i < 40 && offset < end; i++) {
    __u8 option[2];

    if (bpf_skb_load_bytes(skb, offset, option, 2)) return REASON_DROP_MALFORMED;
    if (option[0] == IPV4_OPTION_END) return 0;
    if (option[0] == IPV4_OPTION_LOOSE_ROUTE || option[0] == IPV4_OPTION_STRICT_ROUTE) return REASON_DROP_MALFORMED;
    if (option[0] == IPV4_OPTION_NOP) {
      offset++;
      continue;
    }
    if (option[1] < 2 || offset + option[1] > end) return REASON_DROP_MALFORMED;
    offset += option[1];
  }
  return 0;
}

CHECKED_ALONE int parse_thoroughly4(struct __sk_buff *skb, __u32 l2, struct packet *packet, int from_local) {
  if (!packet) return REASON_DROP_MALFORMED;
  struct iphdr ip;
  __u32 available = skb->len - l2;

  packet->flags = 0;
  packet->family = 0;
  if (bpf_skb_load_bytes(skb, l2, &ip, sizeof(ip)) || (*(__u8 *)&ip & 0xf0) != 0x40) return REASON_DROP_MALFORMED;
  packet->local[0] = from_local ? ip.saddr : ip.daddr;
  packet->peer[0] = from_local ? ip.daddr : ip.saddr;
  packet->protocol = ip.protocol;
  __u32 header = (*(__u8 *)&ip & 0xf) * 4, total = bpf_ntohs(ip.tot_len);

  /* A segment of more than 64 KiB that is still to be cut has no length (kernel 6.3 on). */
  if (!total && skb->gso_size) total = available;
  if (header < sizeof(ip) || total < header || total > available) return REASON_DROP_MALFORMED;
  packet->offset = l2 + header;
  packet->end = l2 + total > 0xffff ? 0xffff : l2 + total;
  if (header > sizeof(ip) && parse_options4(skb, l2 + sizeof(ip), l2 + header)) return REASON_DROP_MALFORMED;
  packet->family = 4;
  __u32 bits = bpf_ntohs(ip.frag_off);

  if (parse_fragment(packet, (bits & IPV4_OFFSET_MASK) * 8, bits & IPV4_MORE_FRAGMENTS, ip.id))
    return REASON_DROP_MALFORMED;
  return packet->flags & PACKET_LATER ? 0 : parse_transport(skb, packet, from_local);
}

/*
 * Walks to the last protocol's header: hop-by-hop options (first only), destination options, routing with nothing left,
 * one fragment header. ESP, AH and "no next header" are protocols of their own.
 */
static __always_inline int parse_extensions6(struct __sk_buff *skb, struct packet *packet) {
  __u32 offset = packet->offset;

  /* Unrolled: before kernel 6.3 the verifier refuses a loop whose end falls through to its beginning, as clang lays this out. */
#pragma unroll
  for (int i = 0; i <= EXTENSION_HEADERS_MAX; i++) {
    __u32 protocol = packet->protocol;
    union {
      struct extension_header extension;
      struct fragment_header fragment;
    } at;

    packet->offset = offset;
    if (!is_extension6(protocol)) return 0;
    if (i == EXTENSION_HEADERS_MAX || (i && protocol == IPPROTO_HOPOPTS)) return REASON_DROP_MALFORMED;
    if (offset + 8 > packet->end || bpf_skb_load_bytes(skb, offset, &at, 8)) return REASON_DROP_MALFORMED;
    packet->protocol = at.extension.next;
    packet->flags |= PACKET_EXTENDED;
    if (protocol == IPPROTO_FRAGMENT) {
      __u32 bits = bpf_ntohs(at.fragment.offset);

      if (packet->flags & PACKET_FRAGMENT) return REASON_DROP_MALFORMED;
      if (parse_fragment(packet, bits & ~7u, bits & 1, at.fragment.id)) return REASON_DROP_MALFORMED;
      if (packet->flags & PACKET_LATER) return 0;
      offset += 8;
      continue;
    }
    if (protocol == IPPROTO_ROUTING && at.extension.segments_left) return REASON_DROP_MALFORMED;
    offset += (at.extension.length + 1) * 8;
    if (offset > packet->end) return REASON_DROP_MALFORMED;
  }
  return REASON_DROP_MALFORMED;
}

CHECKED_ALONE int parse_thoroughly6(struct __sk_buff *skb, __u32 l2, struct packet *packet, int from_local) {
  if (!packet) return REASON_DROP_MALFORMED;
  struct ipv6hdr ip;
  __u32 available = skb->len - l2;

  packet->flags = 0;
  packet->family = 0;
  if (bpf_skb_load_bytes(skb, l2, &ip, sizeof(ip)) || (*(__u8 *)&ip & 0xf0) != 0x60) return REASON_DROP_MALFORMED;
  copy_words(packet->local, from_local ? &ip.saddr : &ip.daddr);
  copy_words(packet->peer, from_local ? &ip.daddr : &ip.saddr);
  packet->family = 6;
  packet->protocol = ip.nexthdr;
  packet->hop_limit = ip.hop_limit;
  __u32 total = bpf_ntohs(ip.payload_len) + sizeof(ip);

  /* As above, and before kernel 6.9 with a jumbo option besides. */
  if (total == sizeof(ip) && skb->gso_size) total = available;
  if (total > available) return REASON_DROP_MALFORMED;
  packet->offset = l2 + sizeof(ip);
  packet->end = l2 + total > 0xffff ? 0xffff : l2 + total;
  if (parse_extensions6(skb, packet)) return REASON_DROP_MALFORMED;
  return packet->flags & PACKET_LATER ? 0 : parse_transport(skb, packet, from_local);
}
