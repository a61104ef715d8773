// The service that latency and connections are measured against: each byte is answered by one, until the client closes.
#pragma once

#include "address.h"
#include "sink.h"

enum { SERVICE_TIME_LIMIT_S = 2 };

int service_listen(const struct address *address);
void service_run(int listener, struct sink_tally *unused) __attribute__((noreturn));

// Connects; every later call on the socket fails when it takes longer than the time limit. Ends the process on failure.
int service_connect(const struct address *client, const struct address *server);
// One byte there and back. Ends the process on failure.
void service_ask(int fd, const struct address *server);
// No answer waits for more data to come: TCP_NODELAY.
void service_send_at_once(int fd);
void service_limit_time(int fd);
