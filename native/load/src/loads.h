// One function for each load; each prints one line of JSON, or ends the process where it tells nothing.
#pragma once

#include "options.h"

void load_latency(const struct options *options);
void load_connect(const struct options *options);
void load_udp(const struct options *options);
void load_flood(const struct options *options);
void load_until(const struct options *options);
void load_serve(const struct options *options);
