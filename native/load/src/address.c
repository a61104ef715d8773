#include "address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"

struct address address_parse(const char *text, uint16_t port) {
  struct address address;
  memset(&address, 0, sizeof(address));
  if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
    address.sa.sa_family = AF_INET;
  } else if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1) {
    address.sa.sa_family = AF_INET6;
  } else {
    fail_usage("%s is no IP address", text);
  }
  address_set_port(&address, port);
  return address;
}

bool address_is_set(const struct address *address) { return address->sa.sa_family != AF_UNSPEC; }

// The port is at one place in both families.
void address_set_port(struct address *address, uint16_t port) { address->v4.sin_port = htons(port); }
uint16_t address_port(const struct address *address) { return ntohs(address->v4.sin_port); }

struct address address_with_port(struct address address, uint16_t port) {
  address_set_port(&address, port);
  return address;
}

socklen_t address_size(const struct address *address) {
  return address->sa.sa_family == AF_INET ? sizeof(address->v4) : sizeof(address->v6);
}

const char *address_text(const struct address *address) {
  static char text[INET6_ADDRSTRLEN + sizeof(" port 65535")];
  const void *bytes =
      address->sa.sa_family == AF_INET ? (const void *)&address->v4.sin_addr : (const void *)&address->v6.sin6_addr;
  char host[INET6_ADDRSTRLEN];
  inet_ntop(address->sa.sa_family, bytes, host, sizeof(host));
  snprintf(text, sizeof(text), "%s port %u", host, address_port(address));
  return text;
}
