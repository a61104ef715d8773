// What this kernel and this machine have.
#pragma once

#include <napi.h>

void define_features(Napi::Env env, Napi::Object exports);
