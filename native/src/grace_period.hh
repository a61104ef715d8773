// rcuGracePeriod(): a promise that waits for an RCU grace period.
#pragma once

#include <napi.h>

#include <memory>

#include "fd.hh"

/// A map-in-map whose updates wait for a grace period, and what is put into it.
struct GraceMaps {
  Fd outer, inner;
};

void define_grace_period(Napi::Env env, Napi::Object exports);
