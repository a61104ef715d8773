#include "commands.hh"

#include <iostream>

#include "agent_call.hh"
#include "cni_error.hh"
#include "host_link.hh"

namespace {

bool is_pod(const Environment &environment) {
  return !environment.pod_namespace.empty() && !environment.pod_name.empty();
}

/// What the agent said, in its own words.
std::string words_of(const Answer &answer) {
  const Json body = Json::parse(answer.body, nullptr, false);
  if (body.is_object() && body.contains("error") && body["error"].is_object()) {
    return body["error"].value("message", answer.body);
  }
  return "HTTP " + std::to_string(answer.status) + ": " + answer.body.substr(0, 200);
}

/// Asks, and has the configuration say what it means when there is no good answer.
void ask(const Config &config, const std::string &path, const Json &body, CniCode code) {
  std::string words;
  try {
    const Answer answer = ask_agent(config, path, body);
    if (answer.status == 200) return;
    words = words_of(answer);
  } catch (const AgentDownError &error) {
    words = error.what();
  }
  if (config.on_agent_down == OnAgentDown::kClosed) throw CniError(code, "selvedge: " + words);
  std::cerr << "selvedge-cni: goes on, as onAgentDown says: " << words << "\n";
}

const Json &previous_result(const Config &config) {
  const auto found = config.json.find("prevResult");
  if (found == config.json.end() || !found->is_object()) {
    throw CniError(CniCode::kInvalidConfig, "there is no prevResult: this plugin goes behind others in a list");
  }
  return *found;
}

/// Those of the pod's own end: "ips[].interface is the index of the interface in interfaces".
Json addresses_of(const Json &result, const std::string &ifname) {
  Json addresses = Json::array();
  const Json interfaces = result.value("interfaces", Json::array());
  for (const Json &ip : result.value("ips", Json::array())) {
    if (!ip.is_object() || !ip.contains("address") || !ip["address"].is_string()) continue;
    if (const auto at = ip.find("interface"); at != ip.end() && at->is_number_unsigned()) {
      const size_t index = at->get<size_t>();
      const Json owner = index < interfaces.size() ? interfaces[index] : Json::object();
      if (owner.is_object() && owner.value("name", ifname) != ifname) continue;
    }
    const std::string address = ip["address"];
    addresses.push_back(address.substr(0, address.find('/')));
  }
  return addresses;
}

Json question(const Environment &environment, const Config &config) {
  return {{"namespace", environment.pod_namespace},
          {"pod", environment.pod_name},
          {"uid", environment.pod_uid},
          {"containerId", environment.container_id},
          {"timeout", config.timeout.count()}};
}

Json question_of_interface(const Environment &environment, const Config &config, const Json &result) {
  const HostLink link = find_host_link(environment.netns, environment.ifname);
  Json asked = question(environment, config);
  asked["ifindex"] = link.ifindex;
  asked["ifname"] = link.name;
  asked["addresses"] = addresses_of(result, environment.ifname);
  return asked;
}

Json add(const Environment &environment, const Config &config) {
  Json result = previous_result(config);
  if (!result.contains("cniVersion")) result["cniVersion"] = config.version;
  // Of a second network (Multus, say) no address stands in the pod's record: no policy is about it.
  if (is_pod(environment) && environment.ifname == "eth0") {
    ask(config, "/v1/cni/add", question_of_interface(environment, config, result), CniCode::kTryAgain);
  }
  return result;
}

void check(const Environment &environment, const Config &config) {
  const Json &result = previous_result(config);
  if (!is_pod(environment) || environment.ifname != "eth0") return;
  ask(config, "/v1/cni/check", question_of_interface(environment, config, result), CniCode::kTryAgain);
}

/// "Plugins should generally complete a DEL action without error even if some resources are missing."
void remove(const Environment &environment, const Config &config) {
  if (!is_pod(environment) || environment.ifname != "eth0") return;
  try {
    ask_agent(config, "/v1/cni/del", question(environment, config));
  } catch (const AgentDownError &) {
    // Its claim goes with the pod's record then.
  }
}

/// Whatever is not among them is given back, so that what cannot be understood here must not be taken for none.
Json valid_containers(const Json &config) {
  constexpr auto kField = "cni.dev/valid-attachments";
  const auto fail = [&] {
    throw CniError(CniCode::kInvalidConfig, std::string(kField) + " is no list of attachments");
  };
  Json containers = Json::array();
  const auto found = config.find(kField);
  // An empty list of Go's is null.
  if (found == config.end() || !(found->is_array() || found->is_null())) fail();
  for (const Json &one : *found) {
    if (!one.is_object() || !one.contains("containerID") || !one["containerID"].is_string()) fail();
    containers.push_back(one["containerID"]);
  }
  return containers;
}

void collect_garbage(const Config &config) {
  const Json valid = valid_containers(config.json);
  try {
    ask_agent(config, "/v1/cni/gc", {{"containerIds", valid}});
  } catch (const AgentDownError &) {
    // The runtime asks again, sooner or later.
  }
}

/// A runtime that asks for it at an earlier version means something else by it.
void need_version(const Config &config, const std::string &command, const std::string &first) {
  if (config.is_at_least(first)) return;
  throw CniError(CniCode::kIncompatibleVersion, command + " came with version " + first + ", not " + config.version);
}

} // namespace

std::optional<Json> run_command(const Environment &environment, const Config &config) {
  const std::string &command = environment.command;
  if (command == "CHECK") need_version(config, command, "0.4.0");
  if (command == "STATUS" || command == "GC") need_version(config, command, "1.1.0");
  if (command == "ADD") return add(environment, config);
  if (command == "DEL")
    remove(environment, config);
  else if (command == "CHECK")
    check(environment, config);
  else if (command == "STATUS")
    ask(config, "/v1/cni/status", Json::object(), CniCode::kNotAvailable);
  else if (command == "GC")
    collect_garbage(config);
  else
    throw CniError(CniCode::kInvalidEnvironment, "CNI_COMMAND is not known: " + command);
  return std::nullopt;
}
