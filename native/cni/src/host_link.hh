// Whose other end a pod's interface is.
#pragma once

#include <string>

struct HostLink {
  unsigned ifindex;
  std::string name;
};

/// The node's end of the veth that is `ifname` in the network namespace at `netns`. Throws CniError.
HostLink find_host_link(const std::string &netns, const std::string &ifname);
