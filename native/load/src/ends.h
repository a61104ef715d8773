// The two ends of a run: the client is this process, the server a child of it, each in its network namespace and on its
// processor.
#pragma once

#include "options.h"
#include "sink.h"

// What the server does once it is ready; never returns.
typedef void (*serve_fn)(int fd, struct sink_tally *tally);

// Begins to serve, if that is ours, and takes the client to its place. What the sink sees is told in the result, which
// is all zero where somebody else serves.
struct sink_tally *ends_enter(const struct options *options, int (*listen)(const struct address *), serve_fn serve);
