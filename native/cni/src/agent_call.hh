// One question to the agent over its unix socket.
#pragma once

#include <chrono>
#include <string>

#include "config.hh"

struct Answer {
  /// Of HTTP.
  int status;
  std::string body;
};

/// Nobody listens there, or there was no whole answer in time.
class AgentDownError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Throws AgentDownError.
Answer ask_agent(const Config &config, const std::string &path, const Json &body);
