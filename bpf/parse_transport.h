/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Ports, and what a packet does to its connection, from the header at packet->offset. */
#pragma once

#include <linux/in.h>
#include <linux/in6.h>
#include "packet.h"

enum tcp_flag {
  TCP_FIN = 1 << 0,
  TCP_SYN = 1 << 1,
  TCP_RST = 1 << 2,
  TCP_ACK = 1 << 4,
};

enum sctp_chunk {
  SCTP_INIT = 1,
  SCTP_ABORT = 6,
  SCTP_SHUTDOWN_COMPLETE = 14,
};

enum icmp_type {
  ICMP4_ECHO_REPLY = 0,
  ICMP4_UNREACHABLE = 3,
  ICMP4_SOURCE_QUENCH = 4,
  ICMP4_ECHO_REQUEST = 8,
  ICMP4_TIME_EXCEEDED = 11,
  ICMP4_PARAMETER = 12,
  ICMP6_ERROR_FIRST = 1,
  ICMP6_ERROR_LAST = 4,
  ICMP6_ECHO_REQUEST = 128,
  ICMP6_ECHO_REPLY = 129,
  ICMP6_LISTENER_FIRST = 130,
  ICMP6_LISTENER_LAST = 132,
  ICMP6_ROUTER_SOLICITATION = 133,
  ICMP6_ROUTER_ADVERTISEMENT = 134,
  ICMP6_NEIGHBOUR_SOLICITATION = 135,
  ICMP6_NEIGHBOUR_ADVERTISEMENT = 136,
  ICMP6_REDIRECT = 137,
  ICMP6_LISTENER_REPORT2 = 143,
};

static __always_inline bool is_extension6(__u8 protocol) {
  return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_ROUTING ||
         protocol == IPPROTO_FRAGMENT;
}

static __always_inline void copy_words(__be32 *to, const void *from) {
  const __be32 *words = from;

#pragma unroll
  for (int i = 0; i < 4; i++) to[i] = words[i];
}

/* A SYN with FIN or RST opens too: it is judged as a request, but makes no entry. */
static __always_inline __u32 tcp_packet_flags(__u8 tcp) {
  if (likely(!(tcp & (TCP_SYN | TCP_FIN | TCP_RST)))) return PACKET_MIDSTREAM;
  return ((tcp & (TCP_SYN | TCP_ACK)) == TCP_SYN ? PACKET_OPENING : 0) | (tcp & TCP_FIN ? PACKET_FIN : 0) |
         (tcp & TCP_RST ? PACKET_RST : 0);
}

static __always_inline void packet_set_ports(struct packet *packet, int from_local, __be16 source, __be16 destination) {
  packet->local_port = from_local ? source : destination;
  packet->peer_port = from_local ? destination : source;
}

/* abi.h: the identifier is the local port; the peer's is 1 when the pod asks, 0 when it is asked. */
static __always_inline void packet_set_echo(struct packet *packet, int from_local, bool request, __be16 identifier) {
  packet->local_port = identifier;
  packet->peer_port = bpf_htons(!from_local == !request);
}

static __always_inline void parse_icmp(struct packet *packet, int from_local, __be16 identifier) {
  __u8 type = packet->icmp_type;
  bool v4 = packet->protocol == IPPROTO_ICMP;

  if (type == (v4 ? ICMP4_ECHO_REQUEST : ICMP6_ECHO_REQUEST)) {
    packet_set_echo(packet, from_local, true, identifier);
    packet->flags |= PACKET_OPENING;
  } else if (type == (v4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY)) {
    packet_set_echo(packet, from_local, false, identifier);
  } else if (v4 ? type == ICMP4_UNREACHABLE || type == ICMP4_SOURCE_QUENCH || type == ICMP4_TIME_EXCEEDED ||
                      type == ICMP4_PARAMETER
                : type >= ICMP6_ERROR_FIRST && type <= ICMP6_ERROR_LAST) {
    packet->flags |= PACKET_ICMP_ERROR;
  }
}

/* 0, or the reason to drop it. */
CHECKED_ALONE int parse_transport(struct __sk_buff *skb, struct packet *packet, int from_local) {
  if (!packet) return REASON_DROP_MALFORMED;
  union {
    __be16 ports[2];
    __u8 bytes[20];
    struct {
      __u8 type, code;
      __be16 checksum, identifier;
    } icmp;
  } head;
  __u32 offset = packet->offset, left = packet->end - packet->offset;

  packet->local_port = packet->peer_port = 0;
  if (packet->offset > packet->end) return REASON_DROP_MALFORMED;
  switch (packet->protocol) {
  case IPPROTO_TCP:
    if (left < 20 || bpf_skb_load_bytes(skb, offset, &head, 20) || head.bytes[12] < 5 << 4)
      return REASON_DROP_MALFORMED;
    packet->flags |= tcp_packet_flags(head.bytes[13]);
    packet_set_ports(packet, from_local, head.ports[0], head.ports[1]);
    return 0;
  case IPPROTO_UDP:
    if (left < 8 || bpf_skb_load_bytes(skb, offset, &head, 8)) return REASON_DROP_MALFORMED;
    packet->flags |= PACKET_OPENS_IF_NEW;
    packet_set_ports(packet, from_local, head.ports[0], head.ports[1]);
    return 0;
  case IPPROTO_SCTP:
    /* The common header, then the first chunk's, which alone may be INIT; a packet without any is of no connection. */
    if (left < 16 || bpf_skb_load_bytes(skb, offset, &head, 16)) return REASON_DROP_MALFORMED;
    if (head.bytes[12] == SCTP_INIT) packet->flags |= PACKET_OPENING;
    if (head.bytes[12] == SCTP_ABORT || head.bytes[12] == SCTP_SHUTDOWN_COMPLETE) packet->flags |= PACKET_RST;
    packet_set_ports(packet, from_local, head.ports[0], head.ports[1]);
    return 0;
  case IPPROTO_ICMP:
  case IPPROTO_ICMPV6:
    /* Each means something in its own family only. */
    if (packet->protocol != (packet->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) break;
    if (left < 8 || bpf_skb_load_bytes(skb, offset, &head, 8)) return REASON_DROP_MALFORMED;
    packet->icmp_type = head.icmp.type;
    packet->icmp_code = head.icmp.code;
    parse_icmp(packet, from_local, head.icmp.identifier);
    return 0;
  }
  packet->flags |= PACKET_OPENS_IF_NEW;
  return 0;
}
