// What is told to a container runtime when a command fails.
#pragma once

#include <stdexcept>
#include <string>

/// Codes of the CNI specification.
enum class CniCode {
  kIncompatibleVersion = 1,
  kInvalidEnvironment = 4,
  kIo = 5,
  kDecode = 6,
  kInvalidConfig = 7,
  /// "Try again later": the runtime deletes the sandbox, and the kubelet makes another.
  kTryAgain = 11,
  /// STATUS: ADD would not work now.
  kNotAvailable = 50,
};

class CniError : public std::runtime_error {
public:
  CniError(CniCode code, const std::string &message, std::string details = "")
      : std::runtime_error(message), code_(code), details_(std::move(details)) {}
  CniCode code() const { return code_; }
  const std::string &details() const { return details_; }

private:
  CniCode code_;
  std::string details_;
};
