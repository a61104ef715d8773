#include "tcx.hh"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

static constexpr __u32 kAttachIngress = 46, kAttachEgress = 47; // BPF_TCX_INGRESS, BPF_TCX_EGRESS
static constexpr __u32 kLinkTypeTcx = 11;                       // BPF_LINK_TYPE_TCX
static constexpr __u32 kMostPrograms = 64;                      // BPF_MPROG_MAX

static __u32 attach_type(TcHook hook) { return hook == TcHook::kIngress ? kAttachIngress : kAttachEgress; }

int tcx_attach(int program_fd, int ifindex, TcHook hook) {
  return bpf_link_create(program_fd, ifindex, static_cast<bpf_attach_type>(attach_type(hook)), nullptr);
}

int tcx_link_info(int link_fd, TcxLinkInfo &info) {
  bpf_link_info raw{};
  __u32 size = sizeof(raw);
  if (const int result = bpf_obj_get_info_by_fd(link_fd, &raw, &size); result < 0) return result;
  if (raw.type != kLinkTypeTcx) return -EINVAL;
  // struct { __u32 ifindex; __u32 attach_type; } tcx: the union's first words, where older headers have xdp.ifindex.
  __u32 words[2];
  std::memcpy(words, &raw.xdp, sizeof(words));
  info = {raw.id, raw.prog_id, words[0], words[1] == kAttachIngress ? TcHook::kIngress : TcHook::kEgress};
  return 0;
}

// The part of union bpf_attr for BPF_PROG_QUERY as of kernel 6.6.
struct ProgramQuery {
  __u32 target_ifindex, attach_type, query_flags, attach_flags;
  __aligned_u64 prog_ids;
  __u32 count, padding;
  __aligned_u64 prog_attach_flags, link_ids, link_attach_flags, revision;
};

int tcx_query(int ifindex, TcHook hook, std::vector<TcxAttached> &attached) {
  __u32 program_ids[kMostPrograms] = {}, link_ids[kMostPrograms] = {};
  ProgramQuery query{};
  query.target_ifindex = ifindex;
  query.attach_type = attach_type(hook);
  query.prog_ids = reinterpret_cast<__u64>(program_ids);
  query.link_ids = reinterpret_cast<__u64>(link_ids);
  query.count = kMostPrograms;
  if (syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof(query)) < 0) {
    // An older kernel knows neither the attach type (EINVAL) nor the attribute's size (E2BIG).
    return errno == EINVAL || errno == E2BIG ? 0 : -errno;
  }
  for (__u32 i = 0; i < query.count; i++) attached.push_back({program_ids[i], link_ids[i]});
  return 0;
}
