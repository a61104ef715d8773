// A command line -> what a run is told.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "address.h"

enum { CPU_ANY = -1 };

enum priority {
  PRIORITY_NORMAL,
  // Before all others, as far as shares of time go.
  PRIORITY_HIGH,
  // Nobody else runs there while an end can; HIGH where that is not to be had.
  PRIORITY_REAL_TIME,
};

struct options {
  const char *load;
  struct address client;
  struct address server;
  // Names under /run/netns, or NULL: where the process is already. Without the server's, somebody else serves.
  const char *client_namespace;
  const char *server_namespace;
  // TCP; the sink's UDP port is the next.
  uint16_t port;
  uint64_t nanoseconds;
  // At most so many requests, connections or datagrams.
  uint64_t count;
  int client_cpu;
  int server_cpu;
  enum priority priority;
  // Of `until`.
  bool wants_open;
};

struct options options_parse(int argc, char **argv);
