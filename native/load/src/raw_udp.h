// Datagrams of ever other source ports from one raw socket, with no socket for each port: every one is a new flow to
// whoever judges.
#pragma once

#include <netinet/udp.h>
#include <sys/socket.h>

#include "sink.h"

enum { RAW_UDP_BATCH = 64, RAW_UDP_FIRST_PORT = 1024, RAW_UDP_PORTS = 65536 - RAW_UDP_FIRST_PORT };

struct raw_udp {
  int fd;
  uint64_t sent;
  // Of the source ports in turn.
  uint64_t first;
  struct {
    struct udphdr header;
    struct datagram datagram;
  } __attribute__((packed)) packets[RAW_UDP_BATCH];
  struct iovec parts[RAW_UDP_BATCH];
  struct mmsghdr messages[RAW_UDP_BATCH];
};

void raw_udp_open(struct raw_udp *raw, const struct address *client, const struct address *server);
// Sends at most RAW_UDP_BATCH with the time of now. Returns how many went; 0 when the interface had no room.
uint32_t raw_udp_send(struct raw_udp *raw, uint32_t count);
