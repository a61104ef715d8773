// trimMemory(): freed memory back to the kernel.
#pragma once

#include <napi.h>

void define_memory(Napi::Env env, Napi::Object exports);
