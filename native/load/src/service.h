// The service that latency and connections are measured against: each byte is answered by the same, until the client
// closes or says that this was the last.
#pragma once

#include "address.h"
#include "sink.h"

enum { SERVICE_TIME_LIMIT_S = 2 };

int service_listen(const struct address *address);
void service_run(int listener, struct sink_tally *unused) __attribute__((noreturn));

// Connects; every later call on the socket fails when it takes longer than the time limit. Ends the process on failure.
int service_connect(const struct address *client, const struct address *server);
enum request {
  REQUEST_ONE_OF_MANY = 0,
  // The server closes behind its answer.
  REQUEST_LAST = 1,
};

// One byte there and back, and with the last the end, too. Ends the process on failure.
void service_ask(int fd, const struct address *server, enum request request);
// No answer waits for more data to come: TCP_NODELAY.
void service_send_at_once(int fd);
void service_limit_time(int fd);
