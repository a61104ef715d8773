#include "input.hh"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "cni_error.hh"

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kLongest = 4 << 20;
/// A runtime has the configuration at hand when it starts a plugin.
constexpr std::chrono::seconds kPatience{5};

} // namespace

std::string read_input(int fd) {
  const auto deadline = Clock::now() + kPatience;
  std::string text;
  for (char buffer[16384]; text.size() <= kLongest;) {
    pollfd waited{fd, POLLIN, 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    const int ready = left <= 0 ? 0 : poll(&waited, 1, static_cast<int>(left));
    if (ready == 0) throw CniError(CniCode::kIo, "the end of the network configuration does not come");
    const ssize_t size = ready < 0 ? -1 : read(fd, buffer, sizeof(buffer));
    if (size == 0) return text;
    if (size > 0)
      text.append(buffer, static_cast<size_t>(size));
    else if (errno != EINTR && errno != EAGAIN)
      throw CniError(CniCode::kIo, std::string("standard input: ") + std::strerror(errno));
  }
  throw CniError(CniCode::kDecode, "the network configuration is longer than 4 MiB");
}
