/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What user space sets once, between opening the object and loading it. The verifier knows these values and cuts
 * away what they rule out. Times are in jiffies: the defaults are those of a kernel with 1,000 ticks a second.
 */
#pragma once

#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include "abi.h"

#define TICKS_PER_SECOND 1000

/* Lowest bit of our field in skb->mark; bits 14 and 15 are kube-proxy's. */
const volatile __u32 mark_shift = 16;
/* Bits of enum event_wanted. */
const volatile __u32 event_mask = EVENTS_DROPS;
/* Events of an endpoint, in one direction and of one verdict, that each CPU tells in so many jiffies; 0: all of them. */
const volatile __u32 event_limit = 20;
const volatile __u32 event_window = TICKS_PER_SECOND / 10;
/* 1 where the kernel has bpf_skb_ct_lookup; with 0 the call is never reached and need not exist. */
const volatile __u32 conntrack = 0;

/* Of each flow table, from 1: user space makes the tables so large. */
const volatile __u32 flow_set_bits = FLOW_SET_BITS;

/* How long an entry of a flow table counts without a packet; SCTP shares TCP's. */
const volatile __u32 idle_tcp_opening = 120 * TICKS_PER_SECOND;
const volatile __u32 idle_tcp_established = 86400 * TICKS_PER_SECOND;
const volatile __u32 idle_tcp_closing = 3600 * TICKS_PER_SECOND;
const volatile __u32 idle_tcp_closed = 30 * TICKS_PER_SECOND;
const volatile __u32 idle_udp = 30 * TICKS_PER_SECOND;
const volatile __u32 idle_udp_established = 180 * TICKS_PER_SECOND;
/* After a UDP entry was lost, so long the kernel's conntrack is asked: no less than it keeps a connection. 0: not at all. */
const volatile __u32 idle_udp_lost = 180 * TICKS_PER_SECOND;
const volatile __u32 idle_icmp = 30 * TICKS_PER_SECOND;
const volatile __u32 idle_other = 600 * TICKS_PER_SECOND;
