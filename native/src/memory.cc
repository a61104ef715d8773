#include "memory.hh"

#include <malloc.h>

// trimMemory()
static Napi::Value trim_memory(const Napi::CallbackInfo &info) {
#ifdef __GLIBC__
  const bool any = malloc_trim(0) != 0; // of every thread's arena, and from between what is in use
#else
  const bool any = false; // other libraries keep little, and have no such call
#endif
  return Napi::Boolean::New(info.Env(), any);
}

void define_memory(Napi::Env env, Napi::Object exports) {
  exports["trimMemory"] = Napi::Function::New(env, trim_memory);
}
