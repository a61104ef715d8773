// The load generators of `selvedge bench`: requests, connections and datagrams between two network namespaces, bounded
// in time and count, what they have shown as a line of JSON.
#include <stddef.h>
#include <string.h>

#include "fail.h"
#include "loads.h"

static const struct {
  const char *name;
  void (*run)(const struct options *);
} LOADS[] = {
    {"latency", load_latency}, {"connect", load_connect}, {"udp", load_udp},
    {"flood", load_flood},     {"until", load_until},     {"serve", load_serve},
};

int main(int argc, char **argv) {
  const struct options options = options_parse(argc, argv);
  for (size_t i = 0; i < sizeof(LOADS) / sizeof(LOADS[0]); i++) {
    if (strcmp(options.load, LOADS[i].name) != 0) continue;
    LOADS[i].run(&options);
    return 0;
  }
  fail_usage("there is no load %s", options.load);
}
