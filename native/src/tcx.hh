// tc programs by links of kernel 6.6, through plain system calls: libbpf has helpers for them only since 1.3,
// and headers of older kernels miss the numbers.
#pragma once

#include <linux/types.h>

#include <vector>

enum class TcHook { kIngress, kEgress };

/// Gives the link's fd, or a negative error number.
int tcx_attach(int program_fd, int ifindex, TcHook hook);

struct TcxLinkInfo {
  __u32 link_id, program_id;
  __u32 ifindex; // 0 when detached or the device is gone
  TcHook hook;
};
/// Returns 0 or a negative error number; -EINVAL when the link is of another kind.
int tcx_link_info(int link_fd, TcxLinkInfo &info);

struct TcxAttached {
  __u32 program_id, link_id;
};
/// Programs in the order in which they run; none where the kernel has no tcx. Returns 0 or a negative error number.
int tcx_query(int ifindex, TcHook hook, std::vector<TcxAttached> &attached);
