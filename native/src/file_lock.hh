// tryLock(fd): a lock that ends with its holder, however that ends.
#pragma once

#include <napi.h>

void define_file_lock(Napi::Env env, Napi::Object exports);
