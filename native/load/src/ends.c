#include "ends.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fail.h"

static void enter_namespace(const char *name) {
  if (!name) return;
  char path[4096];
  snprintf(path, sizeof(path), "/run/netns/%s", name);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_errno("network namespace %s", name);
  if (setns(fd, CLONE_NEWNET) != 0) fail_errno("network namespace %s cannot be entered", name);
  close(fd);
}

static void stay_on(int cpu) {
  if (cpu == CPU_ANY) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) fail_errno("processor %d", cpu);
}

static void go_first(enum priority priority) {
  const struct sched_param lowest = {.sched_priority = 1};
  if (priority == PRIORITY_NORMAL) return;
  if (priority == PRIORITY_REAL_TIME && sched_setscheduler(0, SCHED_FIFO, &lowest) == 0) return;
  // Real time is not for everybody, even as root: container runtimes may have given none of it to us.
  if (setpriority(PRIO_PROCESS, 0, -20) != 0) fail_errno("priority");
}

// Whichever of the two ends first takes the other with it.
static void end_with_parent(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(EXIT_FAILURE);
}

static void start_server(const struct options *options, struct sink_tally *tally, int (*listen)(const struct address *),
                         serve_fn serve) {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) fail_errno("pipe");
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) fail_errno("fork");
  if (child == 0) {
    end_with_parent(parent);
    enter_namespace(options->server_namespace);
    stay_on(options->server_cpu);
    go_first(options->priority);
    const int fd = listen(&options->server);
    if (write(ready[1], "", 1) != 1) _exit(EXIT_FAILURE);
    close(ready[0]);
    close(ready[1]);
    serve(fd, tally);
    _exit(EXIT_FAILURE);
  }
  close(ready[1]);
  char byte;
  // It has said why when it ends before it is ready.
  if (read(ready[0], &byte, 1) != 1) exit(EXIT_FAILURE);
  close(ready[0]);
}

struct sink_tally *ends_enter(const struct options *options, int (*listen)(const struct address *), serve_fn serve) {
  struct sink_tally *tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (tally == MAP_FAILED) fail_errno("mmap");
  if (options->server_namespace) start_server(options, tally, listen, serve);
  enter_namespace(options->client_namespace);
  stay_on(options->client_cpu);
  go_first(options->priority);
  return tally;
}
