// A run that tells nothing ends here: one line on standard error, exit code 1; 2 for a command line that makes no
// sense.
#pragma once

#define FORMAT __attribute__((format(printf, 1, 2), noreturn))

// With what errno says.
FORMAT void fail_errno(const char *format, ...);
FORMAT void fail(const char *format, ...);
FORMAT void fail_usage(const char *format, ...);
