/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the state in force says: an address's identity, and whether a ruleset admits it on a port. */
#pragma once

#include "packet.h"
#include "parse_transport.h"
#include "recent.h"

/* A search of an extent takes at most this many steps: extents are shorter than 2^20. */
#define PORT_SEARCH_STEPS 20

/*
 * A port that is asked for, in the order of the ranges: protocol << 16 | number, the protocol as in struct port_range;
 * PORT_UNKNOWN besides for a later fragment's.
 */
#define PORT_UNKNOWN (1u << 31)

static __always_inline __u32 identity_find4(__u32 copy, __be32 address, __u32 *flags) {
  /* The one look-up's key is a part of the other's. */
  struct cidr4_key prefix = {32, address};
  struct ipcache_entry *entry = LOOKUP_COPY(copy, ipcache4, &prefix.address);

  if (entry) {
    *flags = entry->flags;
    return entry->identity;
  }
  struct cidr_entry *cidr = LOOKUP_COPY(copy, cidrs4, &prefix);

  return cidr ? cidr->identity : IDENTITY_WORLD;
}

static __always_inline __u32 identity_find6(__u32 copy, const __be32 *address, __u32 *flags) {
  struct cidr6_key prefix = {.length = 128};

  copy_words(prefix.address, address);
  struct ipcache_entry *entry = LOOKUP_COPY(copy, ipcache6, prefix.address);

  if (entry) {
    *flags = entry->flags;
    return entry->identity;
  }
  struct cidr_entry *cidr = LOOKUP_COPY(copy, cidrs6, &prefix);

  return cidr ? cidr->identity : IDENTITY_WORLD;
}

static __always_inline __u32 identity_of4(const struct run *run, __be32 address, __u32 *flags) {
  struct recent_identity4 *recent = recent_identity4(address);

  if (recent && recent->generation == run->generation && recent->address == address) {
    *flags = recent->flags;
    return recent->identity;
  }
  __u32 identity = identity_find4(run->copy, address, flags);

  if (recent)
    *recent = (struct recent_identity4){
        .generation = run->generation, .address = address, .identity = identity, .flags = *flags};
  return identity;
}

static __always_inline __u32 identity_of6(const struct run *run, const __be32 *address, __u32 *flags) {
  struct recent_identity6 *recent = recent_identity6(address);

  if (recent && recent->generation == run->generation && words_equal(recent->address, address, 4)) {
    *flags = recent->flags;
    return recent->identity;
  }
  __u32 identity = identity_find6(run->copy, address, flags);

  if (recent) {
    recent->generation = run->generation;
    copy_words(recent->address, address);
    recent->identity = identity;
    recent->flags = *flags;
  }
  return identity;
}

/* flags: enum address_flag, 0 where there is no entry. */
static __always_inline __u32 identity_of(const struct run *run, const __be32 *address, __u32 *flags, const int family) {
  *flags = 0;
  return family == 4 ? identity_of4(run, address[0], flags) : identity_of6(run, address, flags);
}

static __always_inline struct policy_entry *policy_find(__u32 copy, __u32 ruleset, __u32 identity) {
  struct policy_key key = {ruleset, identity};

  return LOOKUP_COPY(copy, policy, &key);
}

static __always_inline struct port_range *port_range_find(__u32 copy, __u32 index) {
  return LOOKUP_COPY(copy, ports, &index);
}

static __always_inline __u32 port_order(__u32 protocol, __u32 number) { return protocol << 16 | number; }

/* Where the port lies: before the range, in it, or behind it. */
static __always_inline int port_compare(const struct port_range *range, __u32 port) {
  if (range->protocol == PORTS_ANY) return 0;
  if (port < port_order(range->protocol, range->from)) return -1;
  return port > port_order(range->protocol, range->to);
}

/* Index of the range that holds the port, among those from `low` up to `high`; -1 when there is none. */
CHECKED_ALONE int port_search(__u32 copy, __u32 low, __u32 high, __u32 port) {
  for (int i = 0; i < PORT_SEARCH_STEPS && low < high; i++) {
    __u32 middle = low + (high - low) / 2;
    struct port_range *range = port_range_find(copy, middle);

    if (!range) return -1;
    int side = port_compare(range, port);

    if (!side) return middle;
    if (side < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return -1;
}

/* The extent of the row that counts; a count of 0: none does. */
static __always_inline struct policy_entry policy_row(const struct run *run, __u32 ruleset, __u32 identity) {
  struct recent_row *recent = recent_row(ruleset, identity);

  if (recent && recent->generation == run->generation && recent->ruleset == ruleset && recent->identity == identity)
    return (struct policy_entry){recent->first, recent->count};
  struct policy_entry *found = policy_find(run->copy, ruleset, identity), extent = {};

  if (!found && identity != IDENTITY_WORLD) found = policy_find(run->copy, ruleset, IDENTITY_WORLD);
  if (found) extent = *found;
  if (recent)
    *recent = (struct recent_row){
        .generation = run->generation,
        .ruleset = ruleset,
        .identity = identity,
        .first = extent.first,
        .count = extent.count,
    };
  return extent;
}

/*
 * REASON_ALLOW_RULE with the rule, REASON_DROP_POLICY, or REASON_DROP_FRAGMENT where the verdict depends on a port
 * that is not known.
 */
static __always_inline __u32 policy_judge(const struct run *run, __u32 ruleset, __u32 identity, __u32 port,
                                          __u32 *rule) {
  struct policy_entry extent = policy_row(run, ruleset, identity);
  __u32 copy = run->copy;

  if (!extent.count) return REASON_DROP_POLICY;
  __u32 unknown = port & PORT_UNKNOWN;
  int index = extent.first;

  port &= ~PORT_UNKNOWN;
  /* Most sets are one range, which takes no call. */
  if (extent.count > 1) index = port_search(copy, index, index + extent.count, port);
  struct port_range *range = index < 0 ? 0 : port_range_find(copy, index);

  if (!range || port_compare(range, port)) return unknown ? REASON_DROP_FRAGMENT : REASON_DROP_POLICY;
  if (unknown && range->protocol != PORTS_ANY && (range->from || range->to != 0xffff)) return REASON_DROP_FRAGMENT;
  if (range->verdict != VERDICT_ALLOW) return REASON_DROP_POLICY;
  *rule = range->rule;
  return REASON_ALLOW_RULE;
}

/* destination: the requested port, in network order. */
static __always_inline __u32 port_of(const struct packet *packet, __be16 destination) {
  __u8 protocol = packet->protocol;

  /* Behind an extension header anything may follow. */
  if (packet->flags & PACKET_NO_PORTS && is_extension6(protocol)) return PORT_UNKNOWN;
  if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_SCTP) return port_order(PORTS_OTHER, 0);
  return port_order(protocol, bpf_ntohs(destination)) | (packet->flags & PACKET_NO_PORTS ? PORT_UNKNOWN : 0);
}
