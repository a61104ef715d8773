#include "fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

static void say(const char *format, va_list arguments, const char *reason) {
  fputs("selvedge-load: ", stderr);
  vfprintf(stderr, format, arguments);
  if (reason) fprintf(stderr, ": %s", reason);
  fputc('\n', stderr);
}

void fail_errno(const char *format, ...) {
  // A socket's own time limit is told as if it were not ready.
  const char *reason = errno == EAGAIN || errno == EINPROGRESS ? "no answer in time" : strerror(errno);
  va_list arguments;
  va_start(arguments, format);
  say(format, arguments, reason);
  exit(EXIT_FAILURE);
}

void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say(format, arguments, NULL);
  exit(EXIT_FAILURE);
}

void fail_usage(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say(format, arguments, NULL);
  exit(EXIT_USAGE);
}
