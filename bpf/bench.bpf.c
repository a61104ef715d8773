// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * The packet path for `selvedge bench path`, by test-run alone and never attached: a run's packet is what the run before
 * has left, so these put back the mark that a hook takes away, and change the source port where each packet is to be of
 * another connection. What that costs by itself is what `drive_empty` takes more than `empty`.
 */
#include "from_pod.h"
#include "to_node.h"
#include "to_pod.h"

char LICENSE[] SEC("license") = "GPL";

/* Records of the tables' template: without something of their type clang leaves them out of the BTF. */
struct bench_abi {
  struct flow4_set flow4_set;
  struct flow6_set flow6_set;
};

const volatile struct bench_abi bench_abi = {};

/* Words of skb->cb: */
enum drive {
  DRIVE_MARK = 0,  /* the whole mark of each packet */
  DRIVE_PORTS = 1, /* source ports before they begin again, a power of two; 0: the packet keeps its own */
  DRIVE_NEXT = 2,  /* the next one, counted up */
  DRIVE_PLACE = 3, /* of the source port, bytes from the frame's start */
};

static __always_inline void drive(struct __sk_buff *skb) {
  __u32 ports = skb->cb[DRIVE_PORTS], place = skb->cb[DRIVE_PLACE];

  skb->mark = skb->cb[DRIVE_MARK];
  if (!ports || place > 64) return;
  __be16 *port = (void *)(long)skb->data + place;
  __u32 next = skb->cb[DRIVE_NEXT];

  if ((void *)(port + 1) > (void *)(long)skb->data_end) return;
  *port = bpf_htons(next & (ports - 1));
  skb->cb[DRIVE_NEXT] = next + 1;
}

SEC("tc")
int empty(struct __sk_buff *skb) {
  (void)skb;
  return CONTINUE;
}

SEC("tc")
int from_pod(struct __sk_buff *skb) { return from_pod_frame(skb); }

SEC("tc")
int to_pod(struct __sk_buff *skb) { return to_pod_frame(skb); }

SEC("tc")
int drive_empty(struct __sk_buff *skb) {
  drive(skb);
  return CONTINUE;
}

SEC("tc")
int drive_from_pod(struct __sk_buff *skb) {
  drive(skb);
  return from_pod_frame(skb);
}

SEC("tc")
int drive_to_pod(struct __sk_buff *skb) {
  drive(skb);
  return to_pod_frame(skb);
}

SEC("tc")
int drive_to_node(struct __sk_buff *skb) {
  drive(skb);
  return to_node_frame(skb, LINK_ETHERNET);
}
