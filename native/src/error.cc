#include "error.hh"

#include <cstring>

#include "addon.hh"

namespace {

constexpr int kNotSupportedInKernel = 524; // ENOTSUPP: not meant for user space, yet bpf returns it

std::string error_name(int error) {
  if (error == kNotSupportedInKernel) return "ENOTSUPP";
#if defined(__GLIBC__)
  if (const char *name = strerrorname_np(error)) return name;
#endif
  return "E" + std::to_string(error);
}

std::string error_text(int error) {
  return error == kNotSupportedInKernel ? "Operation not supported by the kernel" : std::strerror(error);
}

} // namespace

Napi::Error bpf_error(Napi::Env env, int error, std::string_view syscall, std::string_view object,
                      std::string_view log) {
  const int number = error < 0 ? -error : error;
  const auto text = [env](std::string_view value) { return Napi::String::New(env, value.data(), value.size()); };
  Napi::Value made = Addon::of(env).make_error.Call({text(error_name(number)), Napi::Number::New(env, number),
                                                     text(error_text(number)), text(syscall), text(object), text(log)});
  return Napi::Error(env, made);
}
