#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

static const char HELP[] =
    "selvedge-load latency|connect|udp|flood --server ADDRESS [OPTIONS]\n"
    "selvedge-load until open|closed --server ADDRESS [OPTIONS]\n"
    "selvedge-load serve --server ADDRESS [OPTIONS]\n"
    "\n"
    "  --client ADDRESS         where packets come from (default: as routed)\n"
    "  --client-namespace NAME  network namespace to send from, of /run/netns\n"
    "  --server-namespace NAME  serve there too; without it `serve` does, elsewhere\n"
    "  --port PORT              TCP port of the service, UDP is the next (default: 5200)\n"
    "  --seconds SECONDS        at most so long (default: 1)\n"
    "  --count COUNT            at most so many requests, connections or datagrams\n"
    "  --cpu CLIENT[,SERVER]    run on these processors alone\n"
    "  --priority PRIORITY      normal, high or real-time (default: normal)\n"
    "\n"
    "Prints one line of JSON. Ends with 1 when a run tells nothing, with 2 when the command line makes no sense.\n";

enum { DEFAULT_PORT = 5200, MAX_SECONDS = 3600, MAX_CPU = 1023, MAX_COUNT = 1000000000 };

static const struct option LONG[] = {
    {"server", required_argument, NULL, 's'},
    {"client", required_argument, NULL, 'c'},
    {"server-namespace", required_argument, NULL, 'S'},
    {"client-namespace", required_argument, NULL, 'C'},
    {"port", required_argument, NULL, 'p'},
    {"seconds", required_argument, NULL, 't'},
    {"count", required_argument, NULL, 'n'},
    {"cpu", required_argument, NULL, 'a'},
    {"priority", required_argument, NULL, 'P'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static double number_in(const char *name, const char *text, double least, double most) {
  char *end;
  errno = 0;
  const double number = strtod(text, &end);
  // Digits first: neither hexadecimal nor "inf" nor a space.
  const bool plain = *text != '\0' && strspn(text, "0123456789.") == strlen(text);
  if (!plain || *end != '\0' || errno != 0 || !(number >= least && number <= most))
    fail_usage("--%s must be a number from %g to %g, not %s", name, least, most, text);
  return number;
}

static long integer_in(const char *name, const char *text, long least, long most) {
  if (strchr(text, '.')) fail_usage("--%s must be a whole number, not %s", name, text);
  return (long)number_in(name, text, (double)least, (double)most);
}

static void cpus_parse(struct options *options, char *text) {
  char *server = strchr(text, ',');
  if (server) *server++ = '\0';
  options->client_cpu = (int)integer_in("cpu", text, 0, MAX_CPU);
  options->server_cpu = server ? (int)integer_in("cpu", server, 0, MAX_CPU) : options->client_cpu;
}

static const char *namespace_of(const char *text) {
  if (*text == '\0' || strchr(text, '/')) fail_usage("%s is no name of a network namespace", text);
  return text;
}

static enum priority priority_parse(const char *text) {
  if (strcmp(text, "normal") == 0) return PRIORITY_NORMAL;
  if (strcmp(text, "high") == 0) return PRIORITY_HIGH;
  if (strcmp(text, "real-time") == 0) return PRIORITY_REAL_TIME;
  fail_usage("--priority must be normal, high or real-time, not %s", text);
}

static void option_take(struct options *options, int name, char *text) {
  switch (name) {
  case 's':
    options->server = address_parse(text, 0);
    break;
  case 'c':
    options->client = address_parse(text, 0);
    break;
  case 'S':
    options->server_namespace = namespace_of(text);
    break;
  case 'C':
    options->client_namespace = namespace_of(text);
    break;
  case 'p':
    options->port = (uint16_t)integer_in("port", text, 1, UINT16_MAX - 1);
    break;
  case 't':
    options->nanoseconds = (uint64_t)(number_in("seconds", text, 0.001, MAX_SECONDS) * 1e9);
    break;
  case 'n':
    options->count = (uint64_t)integer_in("count", text, 1, MAX_COUNT);
    break;
  case 'a':
    cpus_parse(options, text);
    break;
  case 'P':
    options->priority = priority_parse(text);
    break;
  case 'h':
    fputs(HELP, stdout);
    exit(EXIT_SUCCESS);
  // getopt_long has said why.
  default:
    exit(2);
  }
}

static void check(const struct options *options) {
  if (!address_is_set(&options->server)) fail_usage("--server is missing");
  if (address_is_set(&options->client) && options->client.sa.sa_family != options->server.sa.sa_family)
    fail_usage("--client and --server must be of one family");
  const bool by_sink = strcmp(options->load, "flood") == 0 || strcmp(options->load, "until") == 0;
  if (by_sink && !options->server_namespace) fail_usage("%s needs --server-namespace", options->load);
  if (by_sink && !address_is_set(&options->client)) fail_usage("%s needs --client", options->load);
}

struct options options_parse(int argc, char **argv) {
  struct options options = {
      .port = DEFAULT_PORT,
      .nanoseconds = 1000000000,
      .count = MAX_COUNT,
      .client_cpu = CPU_ANY,
      .server_cpu = CPU_ANY,
  };
  for (int name; (name = getopt_long(argc, argv, "", LONG, NULL)) != -1;) option_take(&options, name, optarg);
  if (optind == argc) fail_usage("which load? See --help");
  options.load = argv[optind++];
  if (strcmp(options.load, "until") == 0) {
    const char *wanted = optind < argc ? argv[optind++] : "";
    options.wants_open = strcmp(wanted, "open") == 0;
    if (!options.wants_open && strcmp(wanted, "closed") != 0) fail_usage("until open, or until closed?");
  }
  if (optind < argc) fail_usage("what is %s?", argv[optind]);
  check(&options);
  address_set_port(&options.server, options.port);
  return options;
}
