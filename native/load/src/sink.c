#include "sink.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "fail.h"

enum { BATCH = 64, BUFFER_BYTES = 4 << 20, AWAIT_NS = 20000000 };

struct address sink_address(const struct address *server) {
  return address_with_port(*server, (uint16_t)(address_port(server) + 1));
}

int sink_listen(const struct address *server) {
  const struct address address = sink_address(server);
  const int fd = socket(address.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail_errno("socket");
  const int size = BUFFER_BYTES;
  // Only root may have more than net.core.rmem_max; others have what that allows.
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
  if (bind(fd, &address.sa, address_size(&address)) != 0) fail_errno("bind %s", address_text(&address));
  return fd;
}

static void tell(int fd, const struct sink_tally *tally, struct msghdr *question) {
  struct datagram *answer = question->msg_iov->iov_base;
  answer->number = atomic_load(&tally->arrived);
  sendmsg(fd, question, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void count(struct sink_tally *tally, const struct datagram *datagram) {
  if (atomic_load_explicit(&tally->arrived, memory_order_relaxed) == 0)
    atomic_store(&tally->first_sent, datagram->sent);
  atomic_store(&tally->last_number, datagram->number);
  atomic_fetch_add(&tally->arrived, 1);
}

static long futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *limit) {
  return syscall(SYS_futex, word, operation, value, limit, NULL, 0);
}

static void wake_sender(struct sink_tally *tally) {
  if (atomic_load(&tally->is_awaited) == 0 || atomic_load(&tally->arrived) < atomic_load(&tally->awaited)) return;
  atomic_store(&tally->is_awaited, 0);
  futex(&tally->is_awaited, FUTEX_WAKE, 1, NULL);
}

bool sink_await(struct sink_tally *tally, uint64_t arrived) {
  const uint64_t until = clock_now() + AWAIT_NS;
  const struct timespec limit = {.tv_nsec = AWAIT_NS};
  atomic_store(&tally->awaited, arrived);
  atomic_store(&tally->is_awaited, 1);
  // The sink looks at what is awaited only after what arrives.
  while (atomic_load(&tally->arrived) < arrived) {
    if (clock_now() >= until) return false;
    futex(&tally->is_awaited, FUTEX_WAIT, 1, &limit);
  }
  return true;
}

void sink_run(int fd, struct sink_tally *tally) {
  static struct datagram datagrams[BATCH];
  static struct sockaddr_storage senders[BATCH];
  static struct iovec parts[BATCH];
  static struct mmsghdr messages[BATCH];
  for (;;) {
    for (int i = 0; i < BATCH; i++) {
      parts[i] = (struct iovec){&datagrams[i], sizeof(datagrams[i])};
      messages[i].msg_hdr = (struct msghdr){
          .msg_name = &senders[i], .msg_namelen = sizeof(senders[i]), .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    const int arrived = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
    // What comes back of an answer that nobody took is of no concern.
    if (arrived < 0 && (errno == EINTR || errno == ECONNREFUSED || errno == EHOSTUNREACH)) continue;
    if (arrived < 0) fail_errno("the sink cannot receive");
    for (int i = 0; i < arrived; i++) {
      if (messages[i].msg_len != DATAGRAM_SIZE) continue;
      if (datagrams[i].kind == DATAGRAM_COUNTED) count(tally, &datagrams[i]);
      if (datagrams[i].kind == DATAGRAM_QUESTION) tell(fd, tally, &messages[i].msg_hdr);
    }
    wake_sender(tally);
  }
}
