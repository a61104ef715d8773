/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The ports of a datagram's first fragment, kept for the later ones. */
#pragma once

#include "packet.h"

CHECKED_ALONE int fragment_resolve(const struct run *run, struct packet *packet) {
  if (!run || !packet) return 0;
  bool from_local = hook_from_local(run->hook);
  struct fragment_key key = {
      .id = packet->fragment_id,
      .ifindex = run->ifindex,
      .protocol = packet->fragment_protocol,
      .family = packet->family,
      .direction = from_local ? DIRECTION_EGRESS : DIRECTION_INGRESS,
  };

  if (packet->family == 4) {
    key.local[0] = packet->local[0];
    key.peer[0] = packet->peer[0];
  } else {
    copy_words(key.local, packet->local);
    copy_words(key.peer, packet->peer);
  }
  if (packet->flags & PACKET_LATER) {
    struct fragment *first = LOOKUP(fragments, &key);

    packet->local_port = first ? first->local_port : 0;
    packet->peer_port = first ? first->peer_port : 0;
    if (!first) {
      packet->flags |= PACKET_NO_PORTS;
      return 0;
    }
    packet->protocol = first->protocol;
    if (first->opening) packet->flags |= PACKET_OPENING;
    return 0;
  }
  struct fragment first = {
      .local_port = packet->local_port,
      .peer_port = packet->peer_port,
      .opening = !!(packet->flags & PACKET_OPENING),
      .protocol = packet->protocol,
  };

  if (bpf_map_update_elem(&fragments, &key, &first, BPF_ANY)) loss_count(LOSS_FRAGMENT);
  return 0;
}
