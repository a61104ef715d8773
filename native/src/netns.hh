// Network namespaces of the calling thread.
#pragma once

#include <napi.h>

#include "fd.hh"

/// Moves the calling thread into a network namespace and, when it ends, back. Aborts the process if that fails:
/// nothing may go on in a namespace that its author did not mean.
class NetnsScope {
public:
  /// `fd` is of the namespace; `name` is for errors.
  NetnsScope(Napi::Env env, int fd, const std::string &name);
  ~NetnsScope();
  NetnsScope(const NetnsScope &) = delete;

private:
  Fd before_;
};

Fd open_current_netns(Napi::Env env);
void define_netns(Napi::Env env, Napi::Object exports);
