// rcuGracePeriod(): a promise that waits for an RCU grace period.
#pragma once

#include <napi.h>

void define_grace_period(Napi::Env env, Napi::Object exports);
