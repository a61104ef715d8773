// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * The packet path's programs, for tc by TCX or clsact:
 *   from_pod    ingress of the host's end of a pod's veth
 *   to_pod      egress of it
 *   to_node     egress of every other way out of the node; to_node_l3 where that device has no Ethernet header
 */
#include "from_pod.h"
#include "to_node.h"
#include "to_pod.h"

char LICENSE[] SEC("license") = "GPL";

/* Whatever stands in here reaches the object's BTF, names and values: so user space reads all of abi.h. */
struct abi {
  enum pending pending;
  enum verdict verdict;
  enum direction direction;
  enum reason reason;
  enum identity identity;
  enum flow_origin flow_origin;
  enum flow_state flow_state;
  enum port_protocol port_protocol;
  enum copy copy;
  enum mark mark;
  enum limits limits;
  enum endpoint_flag endpoint_flag;
  enum address_flag address_flag;
  enum judged judged;
  enum flow_form flow_form;
  enum hook hook;
  enum event_wanted event_wanted;
  enum loss loss;
  struct endpoint endpoint;
  struct settings settings;
  struct slot slot;
  struct ipcache4_key ipcache4_key;
  struct ipcache6_key ipcache6_key;
  struct ipcache_entry ipcache_entry;
  struct cidr4_key cidr4_key;
  struct cidr6_key cidr6_key;
  struct cidr_entry cidr_entry;
  struct policy_key policy_key;
  struct policy_entry policy_entry;
  struct port_range port_range;
  struct flow_seed flow_seed;
  struct flow flow;
  struct flow4 flow4;
  struct flow6 flow6;
  struct flow4_set flow4_set;
  struct flow6_set flow6_set;
  struct fragment_key fragment_key;
  struct fragment fragment;
  struct counter_key counter_key;
  struct counter counter;
  struct tally tally;
  struct event event;
};

const volatile struct abi abi = {};

SEC("tc")
int from_pod(struct __sk_buff *skb) { return from_pod_frame(skb); }

SEC("tc")
int to_pod(struct __sk_buff *skb) { return to_pod_frame(skb); }

SEC("tc")
int to_node(struct __sk_buff *skb) { return to_node_frame(skb, LINK_ETHERNET); }

SEC("tc")
int to_node_l3(struct __sk_buff *skb) { return to_node_frame(skb, LINK_NONE); }
