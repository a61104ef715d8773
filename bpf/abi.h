/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The one home of every number and record that the packet path and user space share. User space reads names,
 * offsets, widths and byte orders of all this out of the object's BTF and refuses to start when something is
 * missing, so nothing here is written down a second time.
 *
 * What a packet asks, in this order:
 *
 *   generation[0]                       one number; its low bit names the copy in force: 0 left, 1 right
 *     slots[ifindex]        x2          -> slot of the endpoint behind this interface, 0 none
 *     endpoints[slot]       x2          -> addresses, rulesets, flags
 *     flows4/flows6[slot] -> table      the endpoint's own connections; a verdict cached for one generation
 *     ipcache4/6[address]   x2  hit  -> identity      pods, single addresses, the node's own
 *     cidrs4/6[prefix]      x2  else -> identity      ipBlocks, longest match is the whole answer; else IDENTITY_WORLD
 *     policy[ruleset, identity] x2 hit -> extent of ports
 *     policy[ruleset, IDENTITY_WORLD] else             the rules for anyone; no row: nothing is admitted
 *     ports[first .. first + count) x2  sorted, disjoint ranges; the one that holds the packet's port decides
 *
 * "x2": the map exists as NAME_left and NAME_right. Only the copy that is not in force is ever written, then one
 * aligned store of the generation puts it in force (design: "every write but one is invisible").
 * Identity, ruleset, slot and rule numbers mean something only together with the copy they stand in
 * (rule numbers: everywhere, they are not used again while an event may name them).
 */
#pragma once

#include <linux/types.h>

/* ---- numbers ------------------------------------------------------------------------------------------- */

/* What is wanted for an interface that has no endpoint. */
enum pending {
  PENDING_UNSET = 0,  /* as `settings` says: what an untouched row of slots holds; in settings itself: open */
  PENDING_OPEN = 1,   /* passes everything, learns nothing */
  PENDING_CLOSED = 2, /* passes nothing, in neither direction */
};

enum verdict {
  VERDICT_DENY = 0,
  VERDICT_ALLOW = 1,
};

enum direction {
  DIRECTION_INGRESS = 0,
  DIRECTION_EGRESS = 1,
};

/* Why a packet was judged as it was. Those up to REASON_ALLOW_MAX admit, the others drop. */
enum reason {
  REASON_ALLOW_RULE = 1,   /* a rule admits it: event.rule */
  REASON_ALLOW_UNISOLATED, /* no policy isolates in this direction */
  REASON_ALLOW_REPLY,      /* of a connection that was admitted */
  REASON_ALLOW_NODE,       /* between a pod and its own node */
  REASON_ALLOW_SELF,       /* a pod with itself */
  REASON_ALLOW_RELATED,    /* an ICMP error about an admitted flow */
  REASON_ALLOW_MAX = 15,
  REASON_DROP_POLICY = 16, /* isolated, and no rule admits it: event.ruleset */
  REASON_DROP_PENDING,     /* the interface is not known yet, or in conflict */
  REASON_DROP_SOURCE,      /* not the pod's own source address */
  REASON_DROP_ARP,         /* ARP for an address that is not the pod's */
  REASON_DROP_NEIGHBOUR,   /* a neighbour advertisement for an address that is not the pod's */
  REASON_DROP_ROUTER,      /* a router advertisement or redirect sent by a pod */
  REASON_DROP_VLAN,        /* tagged */
  REASON_DROP_ETHERTYPE,   /* neither IP nor ARP */
  REASON_DROP_MALFORMED,   /* headers cut short, contradictory, or too many */
  REASON_DROP_FRAGMENT,    /* a later fragment whose first one was not seen */
  REASON_DROP_UNRELATED,   /* an ICMP error about no admitted flow */
  REASON_DROP_DESTINATION, /* not the pod's address: a bridge goes by the hardware address */
};

enum identity {
  IDENTITY_WORLD = 0, /* an address in no set; its rows are the rules for anyone */
};

/* Who began a connection, seen from the endpoint whose table holds it. */
enum flow_origin {
  FLOW_BY_LOCAL = 1, /* the pod; packets to it are replies */
  FLOW_BY_PEER = 2,  /* the other side; packets from the pod are replies */
};

enum flow_state {
  FLOW_OPENING = 1,     /* requests only so far */
  FLOW_ANSWERED = 2,    /* and answers; who began has not gone on, as who forged the address never will */
  FLOW_ESTABLISHED = 3, /* asked, answered, and gone on */
  FLOW_CLOSING = 4,     /* FIN seen */
  FLOW_CLOSED = 5,      /* RST, or FIN from both sides: admits no reply once its short idle time is over */
};

/* Protocols in port ranges: an IP protocol number with ports, or one of these. */
enum port_protocol {
  PORTS_ANY = 0,     /* the only range of its set: every protocol and port */
  PORTS_OTHER = 255, /* protocols without ports; from 0 to 65535 */
};

enum copy {
  COPY_LEFT = 0,
  COPY_RIGHT = 1,
};

/* The field that from_pod writes into skb->mark, shifted by settings in .rodata (mark_shift): */
enum mark {
  MARK_SLOT_BITS = 14, /* slot of the sending endpoint, 0 none */
  MARK_REPLY_BIT = 14, /* set: by the sender's own flows this is a reply */
  MARK_BITS = 15,      /* width of the whole field */
};

enum limits {
  SLOTS_MAX = 1 << MARK_SLOT_BITS, /* slots 1 .. SLOTS_MAX - 1 */
  IFINDEX_ARRAY = 1 << 16,         /* interface indexes below this are looked up in an array, others in a hash */
  EXTENSION_HEADERS_MAX = 8,       /* IPv6 extension headers walked; more is malformed */
  FLOW_SET_BITS = 11,              /* of each endpoint's table, for each family: so many bits choose one of its sets */
  FLOW4_WAYS = 5,                  /* entries of a set */
  FLOW6_WAYS = 6,
  TALLIES = 2048, /* four for each of 512 slots; others share them */
};

/* ---- records ------------------------------------------------------------------------------------------- */

enum endpoint_flag {
  ENDPOINT_HAS_IPV4 = 1 << 0,
  ENDPOINT_HAS_IPV6 = 1 << 1,
  ENDPOINT_HAS_LINK_LOCAL = 1 << 2,
};

/*
 * A local pod's interface. Rulesets: 0 is "not isolated". The identities are those that ipcache4/6 hold for its
 * addresses (IDENTITY_WORLD where they hold none): who a marked packet is from or for costs no look-up, and is right
 * behind any masquerade.
 */
struct endpoint {
  __u32 ifindex;
  __u32 flags; /* enum endpoint_flag */
  __u32 ingress_ruleset;
  __u32 egress_ruleset;
  __be32 address4;
  __u32 identity4;
  __u32 identity6;
  __u32 pad;
  __be32 address6[4];
  __be32 link_local6[4];
};

/* What an interface without endpoint may do, and whatever else is one per state. */
struct settings {
  __u32 pending;        /* enum pending, for interfaces without any entry in slots */
  __u32 judge_own_node; /* 1: pod -> own node is judged by egress too */
};

/* slots: value of the entry of an interface. */
struct slot {
  __u32 slot;    /* 0: no endpoint, then: */
  __u32 pending; /* enum pending */
};

struct ipcache4_key {
  __be32 address;
};

struct ipcache6_key {
  __be32 address[4];
};

enum address_flag {
  ADDRESS_OWN_NODE = 1 << 0, /* one of this node's own addresses */
};

struct ipcache_entry {
  __u32 identity;
  __u32 flags; /* enum address_flag */
};

struct cidr4_key {
  __u32 length; /* in bits */
  __be32 address;
};

struct cidr6_key {
  __u32 length;
  __be32 address[4];
};

struct cidr_entry {
  __u32 identity;
};

struct policy_key {
  __u32 ruleset;
  __u32 identity;
};

/* An extent of the ports map; a count of 0 admits nothing. */
struct policy_entry {
  __u32 first;
  __u32 count;
};

/* Ranges of one extent are sorted by protocol, then by from, and disjoint. */
struct port_range {
  __u16 from;
  __u16 to;      /* included */
  __u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP or enum port_protocol */
  __u8 verdict;  /* enum verdict */
  __u16 pad;
  __u32 rule; /* number of the rule that decided */
};

/*
 * A connection as the endpoint's interface sees it, without direction and without the endpoint's own address, which
 * the table implies. ICMP echo: the pod's port is the identifier, the peer's 1 when the pod asks, 0 when it is asked.
 * Other protocols: both ports 0. Here what is the same for both families; the other half of the key follows it.
 */
struct flow {
  __u64 judged; /* enum judged: one aligned word, so that its parts never part; 0: the entry is free */
  __u32 seen;   /* jiffies, low 32 bits, of the last packet */
  __u8 state;   /* enum flow_state */
  __u8 fins;    /* bit 0: FIN from the pod, bit 1: from the peer */
  __u8 unaged; /* 1: last seen under no policy, whose mid-stream TCP is not looked up: an established one is not idle */
  __u8 protocol;
};

struct flow4 {
  struct flow flow;
  __be32 peer;
  __u32 ports; /* the peer's and then the pod's, each as in a packet, read as one number */
};

struct flow6 {
  struct flow flow;
  __be32 peer[4];
  __u32 ports;
  __u32 pad;
};

/*
 * What the records do not tell of the tables: the hash that places an entry, who takes a set's lock and for what, what an
 * entry's word means. Who changes any of it counts on: during an upgrade programs of both versions write to the same
 * tables, so long as this and the records are the same.
 */
enum flow_form {
  FLOW_FORM = 2,
};

/* Random numbers of the hash that places connections: nobody without them can aim at a set. See flow_table.h. */
struct flow_seed {
  __u64 of[7];
};

/*
 * Where a connection may stand in an endpoint's table: an array of sets, of which its hash chooses one. Two cache lines,
 * four for IPv6. Who adds an entry holds the lock; who reads or changes one does not (see flow.h).
 */
struct flow4_set {
  __u32 lock; /* 1: held */
  __u16
      lost[2]; /* when a UDP connection of each origin (begun by the pod, by the peer) was last lost here; 0: unknown */
  struct flow4 ways[FLOW4_WAYS];
};

struct flow6_set {
  __u32 lock;
  __u16 lost[2];
  __u32 pad[2];
  struct flow6 ways[FLOW6_WAYS];
};

/*
 * A cached verdict: for which generation, and for a peer that is which marked endpoint of this node (slot 0: none).
 * Another generation or another sender is judged anew. Besides, what of the entry must be read in the same moment: a
 * part of the key's hash, so that a word read from an entry that has just become another connection's is not taken for
 * this one's.
 */
enum judged {
  JUDGED_VERDICT_BIT = 0, /* enum verdict */
  JUDGED_SLOT_SHIFT = 1,
  JUDGED_BY_PEER_BIT = 15, /* who began the connection: 1 the peer, 0 the pod */
  JUDGED_TRANSLATED_BIT =
      16, /* 1: the key's peer is not the real end (a Service, a masqueraded port): not to be judged by it */
  JUDGED_USED_BIT = 17,    /* 1 */
  JUDGED_TAG_SHIFT = 18,   /* 14 bits of the key's hash that have not chosen the set */
  JUDGED_EPOCH_SHIFT = 32, /* the generation's low 31 bits below a 1, or 0: not judged */
};

/*
 * The first fragment's ports, for the later ones of the same datagram; addresses as the endpoint at the hook sees them.
 */
struct fragment_key {
  __be32 local[4]; /* IPv4: in word 0, the others 0 */
  __be32 peer[4];
  __be32 id;
  __u32 ifindex;  /* of the hook's interface */
  __u8 protocol;  /* as each fragment names it itself */
  __u8 family;    /* 4 or 6 */
  __u8 direction; /* enum direction of the hook, seen from the pod: egress for from_pod */
  __u8 pad;
};

struct fragment {
  __be16 local_port; /* as in a flow's key */
  __be16 peer_port;
  __u8 opening;  /* whether the first one was an opening packet */
  __u8 protocol; /* behind all IPv6 extension headers */
  __u8 pad[2];
};

/* Counts since load, for each endpoint's interface; per-CPU. */
struct counter_key {
  __u32 ifindex;
  __u32 rule;     /* with REASON_ALLOW_RULE, else 0; with REASON_DROP_POLICY the ruleset */
  __u8 direction; /* enum direction */
  __u8 reason;    /* enum reason */
  __u16 pad;
};

/* Drops: packets. Admissions: new connections. */
struct counter {
  __u64 packets;
  __u64 bytes;
};

/*
 * The row of the counters that an endpoint counted last, for each direction and verdict: what is in here is not in
 * `counters` yet, and is added there when another row takes the place. Also how many events were told of it lately.
 * An element of the per-CPU array `tallies`, at (slot << 2 | direction << 1 | verdict) modulo TALLIES.
 */
struct tally {
  __u32 ifindex; /* these as in struct counter_key */
  __u32 rule;
  __u8 direction;
  __u8 reason;
  __u16 told;    /* events, in the window that began at */
  __u32 since;   /* jiffies, low 32 bits */
  __u64 packets; /* 0: no row */
  __u64 bytes;
};

/* A verdict worth telling: every drop and, by option, every new admitted connection. */
struct event {
  __u64 time;       /* CLOCK_MONOTONIC_COARSE: in steps of a tick */
  __u64 generation; /* under which it was judged */
  __be32 source[4]; /* IPv4: in word 0 */
  __be32 destination[4];
  __be16 source_port;
  __be16 destination_port; /* ICMP: type << 8 | code */
  __u32 ifindex;           /* of the endpoint whose direction decided, or of the hook */
  __u32 ruleset;           /* that judged, 0 none */
  __u32 rule;              /* that admitted, 0 none */
  __u32 length;            /* of the packet, in bytes */
  __u16 ethertype;
  __u8 family; /* 4, 6 or 0 */
  __u8 protocol;
  __u8 direction; /* enum direction */
  __u8 verdict;   /* enum verdict */
  __u8 reason;    /* enum reason */
  __u8 hook;      /* enum hook */
  __u32 pad;
};

enum hook {
  HOOK_FROM_POD = 0, /* tc ingress of the host's end of a pod's veth */
  HOOK_TO_POD = 1,   /* tc egress of it */
  HOOK_TO_NODE = 2,  /* tc egress of every other way out of the node */
};

/* Which events are wanted; bits of the .rodata variable `event_mask`. */
enum event_wanted {
  EVENTS_DROPS = 1 << 0,
  EVENTS_ADMITTED = 1 << 1,
};

/* What did not fit; index of the per-CPU array `losses` of __u64 counts. */
enum loss {
  LOSS_EVENT = 0,    /* the ring buffer was full */
  LOSS_LIMITED = 1,  /* an event that is not told: the endpoint had told as many as it may */
  LOSS_COUNTER = 2,  /* no room for a new row of counters */
  LOSS_FLOW = 3,     /* no entry for a new connection: its replies are judged as requests */
  LOSS_FRAGMENT = 4, /* no entry for a first fragment: the later ones may be dropped */
  LOSS_MAX = 5,
};
