// Service and sink for clients elsewhere, until the time is up: what a server pod runs.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "fail.h"
#include "loads.h"
#include "service.h"

// Connections that are served at once.
enum { WORKERS = 16 };

static pid_t start(int fd, void (*run)(int, struct sink_tally *), struct sink_tally *tally) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) fail_errno("fork");
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(EXIT_FAILURE);
  run(fd, tally);
  _exit(EXIT_FAILURE);
}

void load_serve(const struct options *options) {
  struct sink_tally *tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (tally == MAP_FAILED) fail_errno("mmap");
  const int listener = service_listen(&options->server);
  // A client that is gone without a word must not hold a worker for ever; accept() just tries again.
  service_limit_time(listener);
  const int sink = sink_listen(&options->server);
  for (int i = 0; i < WORKERS; i++) start(listener, service_run, NULL);
  start(sink, sink_run, tally);
  printf("{\"port\":%u}\n", address_port(&options->server));
  fflush(stdout);
  clock_sleep_until(clock_now() + options->nanoseconds);
}
