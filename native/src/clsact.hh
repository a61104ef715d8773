// tc programs as direct-action filters of the clsact qdisc, for kernels without tcx. All in the caller's namespace.
#pragma once

#include <linux/types.h>
#include <napi.h>

#include <vector>

#include "tcx.hh"

struct ClsactPlace {
  int ifindex;
  TcHook hook;
  __u32 priority, handle; // 0 lets the kernel choose
};

std::string to_string(const ClsactPlace &place);

/// How a step of several ended: 0, or an error number and the request that it was for.
struct StepResult {
  int error;
  const char *request;
};

/// Adds the qdisc where missing and the filter, replacing one in that very place; fills in what the kernel chose.
/// Of any thread: no JavaScript.
StepResult clsact_attach(int program_fd, ClsactPlace &place);
/// Swaps the program of an existing filter, atomically.
void clsact_update(Napi::Env env, int program_fd, const ClsactPlace &place);
/// False where there is no such filter, qdisc or device.
bool clsact_detach(Napi::Env env, const ClsactPlace &place);
/// The filter's program id. Throws ENOENT where there is none.
__u32 clsact_program_id(Napi::Env env, const ClsactPlace &place);

struct ClsactAttached {
  __u32 program_id, priority, handle;
  std::string name;
};
std::vector<ClsactAttached> clsact_list(Napi::Env env, int ifindex, TcHook hook);
