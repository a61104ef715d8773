/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What a pod may say about addresses on its link: only that its own are its own. */
#pragma once

#include <linux/if_ether.h>
#include "judge.h"

#define LINK_HOP_LIMIT 255 /* of neighbour discovery: a router would have lowered it */

struct arp_frame {
  __u8 destination[ETH_ALEN];
  __u8 source[ETH_ALEN];
  __be16 ethertype;
  __be16 hardware;
  __be16 protocol;
  __u8 hardware_length;
  __u8 protocol_length;
  __be16 operation;
  __u8 sender[ETH_ALEN];
  __u8 sender_address[4];
  __u8 target[ETH_ALEN];
  __u8 target_address[4];
} __attribute__((packed));

/* 0, or the reason to drop it. An unspecified sender probes for duplicates. */
static __always_inline int arp_check(struct __sk_buff *skb, const struct endpoint *endpoint) {
  struct arp_frame arp;
  __be32 sender;

  if (bpf_skb_load_bytes(skb, 0, &arp, sizeof(arp))) return REASON_DROP_ARP;
  if (arp.hardware != bpf_htons(1) || arp.protocol != bpf_htons(ETH_P_IP) || arp.hardware_length != ETH_ALEN ||
      arp.protocol_length != 4)
    return REASON_DROP_ARP;
  for (int i = 0; i < ETH_ALEN; i++)
    if (arp.sender[i] != arp.source[i]) return REASON_DROP_ARP;
  __builtin_memcpy(&sender, arp.sender_address, sizeof(sender));
  if (sender && (sender != endpoint->address4 || !(endpoint->flags & ENDPOINT_HAS_IPV4))) return REASON_DROP_ARP;
  return 0;
}

static __always_inline bool is_unspecified6(const __be32 *address) {
  return !(address[0] | address[1] | address[2] | address[3]);
}

static __always_inline bool is_neighbour_discovery(const struct packet *packet) {
  return packet->protocol == IPPROTO_ICMPV6 && packet->hop_limit == LINK_HOP_LIMIT &&
         packet->icmp_type >= ICMP6_ROUTER_SOLICITATION && packet->icmp_type <= ICMP6_REDIRECT;
}

/* Reports of multicast listeners, from a link-local or no address as RFC 3590 has it; queries are a router's. */
static __always_inline bool is_listener_message(const struct packet *packet, const __be32 *source, bool queries) {
  __u8 type = packet->icmp_type;

  if (packet->protocol != IPPROTO_ICMPV6 || packet->hop_limit != 1) return false;
  if (type != ICMP6_LISTENER_REPORT2 && (type < ICMP6_LISTENER_FIRST || type > ICMP6_LISTENER_LAST)) return false;
  if (type == ICMP6_LISTENER_FIRST && !queries) return false;
  return is_unspecified6(source) || (source[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/*
 * Messages of the link, which no policy judges: "neighbour discovery of IPv6" works like ARP does. Receivers take
 * extension headers before them, so those don't hide them from the checks; but they earn no exemption.
 */
static __always_inline bool is_link_scope(const struct packet *packet, const __be32 *source, bool queries) {
  if (packet->flags & PACKET_FRAGMENT) return false;
  if (is_neighbour_discovery(packet)) return !(packet->flags & PACKET_EXTENDED);
  return is_listener_message(packet, source, queries);
}

/* 0, or the reason to drop what a pod sends. own: its source is the pod's own address. */
CHECKED_ALONE int neighbour_check(struct __sk_buff *skb, const struct run *run, struct packet *packet, int own) {
  struct packet target = {};

  if (!run || !packet) return REASON_DROP_MALFORMED;
  if (is_neighbour_discovery(packet)) {
    __u8 type = packet->icmp_type;

    if (packet->flags & PACKET_FRAGMENT) return REASON_DROP_MALFORMED;
    if (type == ICMP6_ROUTER_ADVERTISEMENT || type == ICMP6_REDIRECT) return REASON_DROP_ROUTER;
    if (!own && !is_unspecified6(packet->local)) return REASON_DROP_SOURCE;
    if (type == ICMP6_NEIGHBOUR_ADVERTISEMENT || (type == ICMP6_NEIGHBOUR_SOLICITATION && !own)) {
      if (packet->offset + 24 > packet->end || bpf_skb_load_bytes(skb, packet->offset + 8, target.local, 16))
        return REASON_DROP_MALFORMED;
      if (!own && type == ICMP6_NEIGHBOUR_ADVERTISEMENT) return REASON_DROP_NEIGHBOUR;
      struct endpoint *endpoint = endpoint_in_slot(run, run->slot);

      if (!endpoint || !packet_is_own(&target, endpoint, 6)) return REASON_DROP_NEIGHBOUR;
    }
  }
  if ((own || is_unspecified6(packet->local)) && is_link_scope(packet, packet->local, false))
    packet->flags |= PACKET_LINK_SCOPE;
  return 0;
}
