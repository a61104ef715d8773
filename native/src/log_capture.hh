// Collects what libbpf says on this thread while it lives, and keeps libbpf from printing anything at any time.
#pragma once

#include <string>

class LogCapture {
public:
  LogCapture();
  ~LogCapture();
  LogCapture(const LogCapture &) = delete;

  /// Replaces libbpf's printer; once per process.
  static void install();
  const std::string &text() const { return text_; }

private:
  std::string text_;
  LogCapture *outer_;
};
