// Standard input and the environment -> what a command needs.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

/// Members stay in the order in which they came: the result is handed on as it was.
using Json = nlohmann::ordered_json;

inline const std::vector<std::string> kVersions = {"0.3.1", "0.4.0", "1.0.0", "1.1.0"};

/// What becomes of a pod when no agent says that its policies are in force.
enum class OnAgentDown { kClosed, kOpen };

struct Config {
  std::string version = kVersions.back();
  std::string socket = "/run/selvedge/agent.sock";
  std::chrono::milliseconds timeout{5000};
  OnAgentDown on_agent_down = OnAgentDown::kClosed;
  /// As read, for what only one command asks of it.
  Json json;

  /// @param other one of kVersions
  bool is_at_least(const std::string &other) const;
};

struct Environment {
  std::string command;
  std::string container_id;
  std::string netns;
  std::string ifname;
  /// Of CNI_ARGS; empty where the runtime is not one of Kubernetes.
  std::string pod_namespace;
  std::string pod_name;
  std::string pod_uid;
};

/// Throws CniError; `config.version` is set by then if it is one that is known.
void read_config(const std::string &text, Config &config);
/// Throws CniError where something is missing that the command needs.
Environment read_environment();
