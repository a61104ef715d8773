// Kernel failures on their way to JavaScript, where they are instances of the class BpfError.
#pragma once

#include <napi.h>

#include <cassert>
#include <string>
#include <string_view>

/// Makes a BpfError to be thrown. `error` is an error number, its sign is ignored; `object` says what it was about.
Napi::Error bpf_error(Napi::Env env, int error, std::string_view syscall, std::string_view object,
                      std::string_view log = {});

/// Gives `result` back, or throws when it is negative. For functions that return the error number (libbpf 1.x).
inline int checked(Napi::Env env, int result, std::string_view syscall, std::string_view object) {
  if (result < 0) throw bpf_error(env, result, syscall, object);
  return result;
}

/// Like `checked`, for functions that return -1 and set errno.
inline int checked_errno(Napi::Env env, int result, std::string_view syscall, std::string_view object) {
  if (result < 0) throw bpf_error(env, errno, syscall, object);
  return result;
}
