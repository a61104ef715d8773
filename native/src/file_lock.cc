#include "file_lock.hh"

#include <sys/file.h>

#include <cerrno>

#include "bytes.hh"
#include "error.hh"

// tryLock(fd)
static Napi::Value try_lock(const Napi::CallbackInfo &info) {
  const int fd = static_cast<int>(uint32_of(info[0]));
  const int result = flock(fd, LOCK_EX | LOCK_NB);
  if (result < 0 && errno == EWOULDBLOCK) return Napi::Boolean::New(info.Env(), false);
  checked_errno(info.Env(), result, "flock", "fd " + std::to_string(fd));
  return Napi::Boolean::New(info.Env(), true);
}

void define_file_lock(Napi::Env env, Napi::Object exports) { exports["tryLock"] = Napi::Function::New(env, try_lock); }
