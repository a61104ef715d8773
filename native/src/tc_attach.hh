// Attaching while JavaScript goes on: the kernel waits for grace periods, and for others, under its network lock.
#pragma once

#include <napi.h>

#include <string>

#include "clsact.hh"

struct AttachRequest {
  /// Borrowed for the call only: the task has a duplicate.
  int program_fd;
  std::string program;
  /// In the caller's network namespace. Priority and handle: clsact only.
  ClsactPlace place;
  /// Of the tcx link; empty: a clsact filter.
  std::string pin_path;
};

/// A promise of undefined, once attached and pinned. When the pin fails nothing stays attached.
Napi::Value attach_task(Napi::Env env, const AttachRequest &request);
