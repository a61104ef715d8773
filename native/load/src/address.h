// An IPv4 or IPv6 address with a port, as the kernel takes it.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct address {
  union {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  };
};

// Ends the process when the text is no address.
struct address address_parse(const char *text, uint16_t port);
bool address_is_set(const struct address *address);
void address_set_port(struct address *address, uint16_t port);
uint16_t address_port(const struct address *address);
struct address address_with_port(struct address address, uint16_t port);
socklen_t address_size(const struct address *address);
// For messages; the text is overwritten by the next call.
const char *address_text(const struct address *address);
