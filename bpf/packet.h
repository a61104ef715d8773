/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A packet as the endpoint at the hook sees it: its own side is local, the other one peer, whichever way the packet
 * goes. A run is one packet's way through one hook, under one generation.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include "maps.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/*
 * A global function: the verifier checks it once, by its types, and not again from every state of every caller. Its
 * pointers may be null for all it knows, and what they point to is unknown to the caller afterwards.
 */
#define CHECKED_ALONE __attribute__((noinline))

enum packet_flag {
  PACKET_OPENING = 1 << 0,      /* a TCP SYN without ACK, an SCTP INIT, an echo request: always a request */
  PACKET_OPENS_IF_NEW = 1 << 1, /* UDP and protocols without ports: opens when there is no entry */
  PACKET_MIDSTREAM = 1 << 2,    /* TCP without SYN, FIN and RST: changes nothing about its connection */
  PACKET_FIN = 1 << 3,
  PACKET_RST = 1 << 4,      /* also SCTP's ABORT and SHUTDOWN COMPLETE */
  PACKET_NO_PORTS = 1 << 5, /* a later fragment whose first one was not seen */
  PACKET_FRAGMENT = 1 << 6, /* first or later */
  PACKET_LATER = 1 << 7,    /* later fragment */
  PACKET_ICMP_ERROR = 1 << 8,
  PACKET_LINK_SCOPE = 1 << 9, /* neighbour discovery or multicast listener report, of this link by its hop limit */
  PACKET_EXTENDED = 1 << 10,  /* IPv6 extension headers before the last protocol */
  PACKET_NO_FLOW = 1 << 11,   /* to another address than the pod's own, multicast say: a flow's key could not tell */
};

struct packet {
  __be32 local[4]; /* IPv4: word 0, the others are not set */
  __be32 peer[4];
  __be16 peer_port;
  __be16 local_port;
  __u8 protocol;
  __u8 pad[3];
  __u16 flags;  /* enum packet_flag */
  __u16 offset; /* of the last protocol's header, from the frame's start */
  __u8 family;  /* 4, 6, or 0 when not parsed */
  __u8 icmp_type;
  __u8 icmp_code;
  __u8 fragment_protocol; /* as the fragment names it: IPv6 extension headers may follow */
  __be32 fragment_id;
  __u8 hop_limit; /* IPv6 */
  __u8 more_pad;
  __u16 end; /* of the IP packet, from the frame's start; 65535 for more */
};

/*
 * Numbers only: a record that holds pointers can't be given to a function that the verifier checks by itself (see
 * CHECKED_ALONE).
 */
struct run {
  __u64 generation;
  __u32 copy;
  __u32 now; /* jiffies */
  __u32 ifindex;
  __u32 slot;
  __u32 hook;
  __u32 mark;       /* our field of skb->mark as the packet came; 0 at from_pod, where it is not ours */
  __u32 unisolated; /* 1: no policy selects the endpoint, in neither direction */
  __u32 epoch;      /* the generation's low 31 bits, and 1 << 31: never 0 */
};

/* "Continue, let others' programs run": TCX_NEXT and, for clsact, TC_ACT_UNSPEC. */
#define CONTINUE TC_ACT_UNSPEC

/* The way a packet of this hook goes, seen from the endpoint. */
static __always_inline bool hook_from_local(__u32 hook) { return hook != HOOK_TO_POD; }

static __always_inline void run_begin(struct run *run, const struct __sk_buff *skb, __u32 hook) {
  __u32 zero = 0;
  __u64 *in_force = bpf_map_lookup_elem(&generation, &zero);

  /* Read once: what follows sees one whole state. */
  run->generation = in_force ? *(volatile __u64 *)in_force : 0;
  run->copy = run->generation & 1;
  run->now = (__u32)bpf_jiffies64();
  run->ifindex = skb->ifindex;
  run->hook = hook;
  run->slot = 0;
  run->mark = 0;
  run->unisolated = 0;
  run->epoch = (__u32)run->generation | 1u << 31;
}

static __always_inline bool words_equal(const __be32 *a, const __be32 *b, const int count) {
  __u32 differ = 0;

#pragma unroll
  for (int i = 0; i < count; i++) differ |= a[i] ^ b[i];
  return !differ;
}

/* Whether the packet's local address is the endpoint's own. */
static __always_inline bool packet_is_own(const struct packet *packet, const struct endpoint *endpoint,
                                          const int family) {
  if (family == 4) return packet->local[0] == endpoint->address4 && (endpoint->flags & ENDPOINT_HAS_IPV4);
  if (words_equal(packet->local, endpoint->address6, 4)) return endpoint->flags & ENDPOINT_HAS_IPV6;
  return (endpoint->flags & ENDPOINT_HAS_LINK_LOCAL) && words_equal(packet->local, endpoint->link_local6, 4);
}

/* Multicast, and IPv4's broadcast. */
static __always_inline bool is_group_address(const __be32 *address, const int family) {
  __u8 first = *(const __u8 *)address;

  return family == 4 ? (first & 0xf0) == 0xe0 || address[0] == 0xffffffff : first == 0xff;
}

static __always_inline bool is_unisolated(const struct endpoint *endpoint) {
  return !endpoint || !(endpoint->ingress_ruleset | endpoint->egress_ruleset);
}
