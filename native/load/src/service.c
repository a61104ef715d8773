// Blocking calls and one connection after the other: nothing but the path and two wake-ups is in a measured time.
#include "service.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "fail.h"

enum { BACKLOG = 4096 };

void service_send_at_once(int fd) {
  const int on = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) fail_errno("TCP_NODELAY");
}

void service_limit_time(int fd) {
  const struct timeval limit = {.tv_sec = SERVICE_TIME_LIMIT_S};
  // The time to send bounds connect(), too.
  if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0) fail_errno("SO_SNDTIMEO");
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0) fail_errno("SO_RCVTIMEO");
}

int service_listen(const struct address *address) {
  const int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail_errno("socket");
  const int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) fail_errno("SO_REUSEADDR");
  // Inherited by what is accepted, which saves the server two calls for each connection.
  service_send_at_once(fd);
  if (bind(fd, &address->sa, address_size(address)) != 0) fail_errno("bind %s", address_text(address));
  if (listen(fd, BACKLOG) != 0) fail_errno("listen on %s", address_text(address));
  return fd;
}

void service_run(int listener, struct sink_tally *unused) {
  (void)unused;
  for (;;) {
    const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO || errno == ETIMEDOUT || errno == EAGAIN) continue;
      fail_errno("accept");
    }
    char byte;
    while (recv(fd, &byte, 1, 0) == 1 && send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && byte != REQUEST_LAST) {
    }
    close(fd);
  }
}

int service_connect(const struct address *client, const struct address *server) {
  const int fd = socket(server->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail_errno("socket");
  service_limit_time(fd);
  if (address_is_set(client) && bind(fd, &client->sa, address_size(client)) != 0)
    fail_errno("bind %s", address_text(client));
  if (connect(fd, &server->sa, address_size(server)) != 0) fail_errno("connect to %s", address_text(server));
  return fd;
}

void service_ask(int fd, const struct address *server, enum request request) {
  char byte = (char)request;
  if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1) fail_errno("request to %s", address_text(server));
  const ssize_t size = recv(fd, &byte, 1, 0);
  if (size < 0) fail_errno("answer of %s", address_text(server));
  if (size == 0) fail("%s has closed the connection", address_text(server));
  if (request == REQUEST_LAST && recv(fd, &byte, 1, 0) < 0) fail_errno("end of %s", address_text(server));
}
