#include "netns.hh"

#include <fcntl.h>
#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bytes.hh"
#include "error.hh"

static constexpr char kCurrent[] = "/proc/thread-self/ns/net";

Fd open_current_netns(Napi::Env env) {
  return Fd(checked_errno(env, open(kCurrent, O_RDONLY | O_CLOEXEC), "open", kCurrent));
}

NetnsScope::NetnsScope(Napi::Env env, int fd, const std::string &name) : before_(open_current_netns(env)) {
  checked_errno(env, setns(fd, CLONE_NEWNET), "setns", name);
}

NetnsScope::~NetnsScope() {
  if (setns(before_.get(), CLONE_NEWNET) == 0) return;
  std::fprintf(stderr, "selvedge-libbpf: cannot return to the former network namespace: %s\n", std::strerror(errno));
  std::abort();
}

static Fd open_netns(Napi::Env env, const std::string &path) {
  return Fd(checked_errno(env, open(path.c_str(), O_RDONLY | O_CLOEXEC), "open", "network namespace " + path));
}

// netnsRun(path, fn)
static Napi::Value run(const Napi::CallbackInfo &info) {
  const std::string path = string_of(info[0]);
  const Fd fd = open_netns(info.Env(), path);
  const NetnsScope scope(info.Env(), fd.get(), "network namespace " + path);
  return info[1].As<Napi::Function>().Call({});
}

// netnsEnter(path)
static void enter(const Napi::CallbackInfo &info) {
  const std::string path = string_of(info[0]);
  const Fd fd = open_netns(info.Env(), path);
  checked_errno(info.Env(), setns(fd.get(), CLONE_NEWNET), "setns", "network namespace " + path);
}

void define_netns(Napi::Env env, Napi::Object exports) {
  exports["netnsRun"] = Napi::Function::New(env, run);
  exports["netnsEnter"] = Napi::Function::New(env, enter);
}
