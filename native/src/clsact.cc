#include "clsact.hh"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

#include "error.hh"
#include "netlink_socket.hh"

static bpf_tc_attach_point attach_point(TcHook hook) {
  return hook == TcHook::kIngress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
}

static bpf_tc_hook hook_of(const ClsactPlace &place) {
  LIBBPF_OPTS(bpf_tc_hook, hook);
  hook.ifindex = place.ifindex;
  hook.attach_point = attach_point(place.hook);
  return hook;
}

std::string to_string(const ClsactPlace &place) {
  return std::string("tc ") + (place.hook == TcHook::kIngress ? "ingress" : "egress") + " of interface " +
         std::to_string(place.ifindex) + ", priority " + std::to_string(place.priority) + ", handle " +
         std::to_string(place.handle);
}

StepResult clsact_attach(int program_fd, ClsactPlace &place) {
  bpf_tc_hook hook = hook_of(place);
  const int created = bpf_tc_hook_create(&hook);
  if (created < 0 && created != -EEXIST) return {created, "RTM_NEWQDISC"};
  LIBBPF_OPTS(bpf_tc_opts, options);
  options.prog_fd = program_fd;
  options.priority = place.priority;
  options.handle = place.handle;
  if (place.priority != 0 && place.handle != 0) options.flags = BPF_TC_F_REPLACE;
  if (const int attached = bpf_tc_attach(&hook, &options); attached < 0) return {attached, "RTM_NEWTFILTER"};
  place.priority = options.priority;
  place.handle = options.handle;
  return {0, nullptr};
}

void clsact_update(Napi::Env env, int program_fd, const ClsactPlace &place) {
  clsact_program_id(env, place); // an update must not create
  const bpf_tc_hook hook = hook_of(place);
  LIBBPF_OPTS(bpf_tc_opts, options);
  options.prog_fd = program_fd;
  options.priority = place.priority;
  options.handle = place.handle;
  options.flags = BPF_TC_F_REPLACE;
  checked(env, bpf_tc_attach(&hook, &options), "RTM_NEWTFILTER", to_string(place));
}

bool clsact_detach(Napi::Env env, const ClsactPlace &place) {
  const bpf_tc_hook hook = hook_of(place);
  LIBBPF_OPTS(bpf_tc_opts, options);
  options.priority = place.priority;
  options.handle = place.handle;
  const int result = bpf_tc_detach(&hook, &options);
  // The filter is gone, the device is gone, or the qdisc is gone (EINVAL).
  if (result == -ENOENT || result == -ENODEV || result == -EINVAL) return false;
  checked(env, result, "RTM_DELTFILTER", to_string(place));
  return true;
}

__u32 clsact_program_id(Napi::Env env, const ClsactPlace &place) {
  const bpf_tc_hook hook = hook_of(place);
  LIBBPF_OPTS(bpf_tc_opts, options);
  options.priority = place.priority;
  options.handle = place.handle;
  const int result = bpf_tc_query(&hook, &options);
  checked(env, result == -EINVAL || result == -ENODEV ? -ENOENT : result, "RTM_GETTFILTER", to_string(place));
  return options.prog_id;
}

static void parse_filter(const nlmsghdr &message, std::vector<ClsactAttached> &filters) {
  const auto *header = static_cast<const tcmsg *>(NLMSG_DATA(&message));
  ClsactAttached filter{0, TC_H_MAJ(header->tcm_info) >> 16, header->tcm_handle, ""};
  Attributes attributes(message, sizeof(tcmsg));
  if (attributes.text(TCA_KIND) != "bpf") return;
  Attributes options = attributes.nested(TCA_OPTIONS);
  filter.program_id = options.u32(TCA_BPF_ID).value_or(0);
  filter.name = options.text(TCA_BPF_NAME);
  if (filter.program_id != 0) filters.push_back(filter);
}

std::vector<ClsactAttached> clsact_list(Napi::Env env, int ifindex, TcHook hook) {
  NetlinkRequest request(RTM_GETTFILTER, "RTM_GETTFILTER", sizeof(tcmsg));
  auto *header = request.header<tcmsg>();
  header->tcm_ifindex = ifindex;
  header->tcm_parent = TC_H_MAKE(TC_H_CLSACT, hook == TcHook::kIngress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
  std::vector<ClsactAttached> filters;
  NetlinkSocket socket(env);
  socket.dump(
      env, request, "interface " + std::to_string(ifindex), [&filters] { filters.clear(); },
      [&filters](const nlmsghdr &message) { parse_filter(message, filters); });
  std::sort(filters.begin(), filters.end(), [](const auto &a, const auto &b) {
    return std::tie(a.priority, a.handle) < std::tie(b.priority, b.handle);
  });
  return filters;
}
