// isBpffs(path), mountBpffs(path): the file system in which BPF objects are pinned.
#pragma once

#include <napi.h>

void define_bpffs(Napi::Env env, Napi::Object exports);
