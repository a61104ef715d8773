#include "agent_call.hh"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "../../src/fd.hh"

namespace {

using Clock = std::chrono::steady_clock;

/// Beyond what the agent is told to wait: time for its answer to come.
constexpr std::chrono::milliseconds kGrace{1000};
/// Until a busy agent is asked again.
constexpr std::chrono::milliseconds kBusy{20};
constexpr size_t kLongest = 1 << 16;

[[noreturn]] void fail(const std::string &what) { throw AgentDownError(what + ": " + std::strerror(errno)); }

void wait_for(int fd, short events, Clock::time_point deadline) {
  pollfd waited{fd, events, 0};
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    const int ready = left <= 0 ? 0 : poll(&waited, 1, static_cast<int>(left));
    if (ready > 0) return;
    if (ready == 0) throw AgentDownError("the agent gave no answer in time");
    if (errno != EINTR) fail("poll");
  }
}

/// The agent is there, but has as many connections as it takes.
class BusyError : public AgentDownError {
public:
  using AgentDownError::AgentDownError;
};

Fd connect_to(const std::string &path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) throw AgentDownError("the path of the socket is too long: " + path);
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) fail("a socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) == 0) return fd;
  if (errno == EAGAIN) throw BusyError(path + ": nobody takes the connection");
  fail(path);
}

void send_all(int fd, const std::string &text, Clock::time_point deadline) {
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t now = send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (now >= 0)
      sent += static_cast<size_t>(now);
    else if (errno == EAGAIN)
      wait_for(fd, POLLOUT, deadline);
    else if (errno == EPIPE || errno == ECONNRESET)
      return; // What it has said until then, if anything, is read.
    else if (errno != EINTR)
      fail("asking the agent");
  }
}

std::string receive_all(int fd, Clock::time_point deadline) {
  std::string text;
  for (char buffer[4096]; text.size() <= kLongest;) {
    const ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
    if (size == 0 || (size < 0 && errno == ECONNRESET)) return text;
    if (size > 0)
      text.append(buffer, static_cast<size_t>(size));
    else if (errno == EAGAIN)
      wait_for(fd, POLLIN, deadline);
    else if (errno != EINTR)
      fail("the agent's answer");
  }
  throw AgentDownError("the agent's answer has no end");
}

Answer ask_once(const Config &config, const std::string &path, const std::string &content, Clock::time_point deadline) {
  const Fd fd = connect_to(config.socket);
  // HTTP/1.0: the answer comes in one piece and ends with the connection.
  send_all(fd.get(),
           "POST " + path + " HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
               std::to_string(content.size()) + "\r\n\r\n" + content,
           deadline);
  const std::string text = receive_all(fd.get(), deadline);
  if (text.empty()) throw BusyError("what listens on " + config.socket + " gives no answer");
  const auto end = text.find("\r\n\r\n");
  if (end == std::string::npos || text.rfind("HTTP/1.", 0) != 0 || text.size() < sizeof("HTTP/1.1 200")) {
    throw AgentDownError("what listens on " + config.socket + " is no agent");
  }
  return {std::atoi(text.c_str() + sizeof("HTTP/1.1")), text.substr(end + 4)};
}

} // namespace

Answer ask_agent(const Config &config, const std::string &path, const Json &body) {
  const auto begin = Clock::now();
  const std::string content = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (;;) {
    try {
      return ask_once(config, path, content, begin + config.timeout + kGrace);
    } catch (const BusyError &) {
      // All pods of a node start at once when it does.
      if (Clock::now() - begin > config.timeout) throw;
      std::this_thread::sleep_for(kBusy);
    }
  }
}
