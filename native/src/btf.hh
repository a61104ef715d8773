// The types of a BTF blob as plain JavaScript objects, one for each type id; lib/layout.js makes sense of them.
#pragma once

#include <napi.h>

struct btf;

Napi::Array btf_types(Napi::Env env, const btf *types);
