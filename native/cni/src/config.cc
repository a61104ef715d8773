#include "config.hh"

#include <net/if.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <map>
#include <sstream>

#include "cni_error.hh"

namespace {

std::string text_of(const char *name) {
  const char *value = std::getenv(name);
  return value == nullptr ? "" : value;
}

[[noreturn]] void fail_config(const std::string &field, const std::string &wanted) {
  throw CniError(CniCode::kInvalidConfig, field + " is to be " + wanted);
}

[[noreturn]] void fail_variable(const std::string &name, const std::string &value) {
  throw CniError(CniCode::kInvalidEnvironment, name + " is none: \"" + value + "\"");
}

std::string string_in(const Json &json, const char *field, const std::string &fallback) {
  const auto found = json.find(field);
  if (found == json.end()) return fallback;
  if (!found->is_string()) fail_config(field, "a string");
  return found->get<std::string>();
}

/// "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web"
std::map<std::string, std::string> arguments(const std::string &text) {
  std::map<std::string, std::string> found;
  std::istringstream pairs(text);
  for (std::string pair; std::getline(pairs, pair, ';');) {
    const auto equals = pair.find('=');
    if (equals != std::string::npos) found[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return found;
}

bool is_alphanumeric(char one) { return std::isalnum(static_cast<unsigned char>(one)) != 0; }

/// "Must start with an alphanumeric character, optionally followed by any combination of one or more alphanumeric
/// characters, underscore (_), dot (.) or hyphen (-)."
bool is_container_id(const std::string &text) {
  const auto fits = [](char one) { return is_alphanumeric(one) || one == '_' || one == '.' || one == '-'; };
  return is_alphanumeric(text[0]) && std::all_of(text.begin(), text.end(), fits);
}

/// As Linux has names of interfaces.
bool is_interface_name(const std::string &text) {
  const auto fits = [](char one) {
    return one != '/' && one != ':' && std::isspace(static_cast<unsigned char>(one)) == 0;
  };
  return text.size() < IFNAMSIZ && text != "." && text != ".." && std::all_of(text.begin(), text.end(), fits);
}

} // namespace

void read_config(const std::string &text, Config &config) {
  config.json = Json::parse(text, nullptr, false);
  if (config.json.is_discarded()) throw CniError(CniCode::kDecode, "the network configuration is no JSON");
  if (!config.json.is_object()) throw CniError(CniCode::kDecode, "the network configuration is no JSON object");
  const std::string version = string_in(config.json, "cniVersion", "0.3.1");
  if (std::find(kVersions.begin(), kVersions.end(), version) == kVersions.end()) {
    throw CniError(CniCode::kIncompatibleVersion, "cniVersion \"" + version + "\" is not known here",
                   "0.3.1, 0.4.0, 1.0.0 and 1.1.0 are");
  }
  config.version = version;
  config.socket = string_in(config.json, "socket", config.socket);
  if (const auto timeout = config.json.find("timeout"); timeout != config.json.end()) {
    const bool fits = timeout->is_number() && timeout->get<double>() > 0 && timeout->get<double>() <= 120;
    if (!fits) fail_config("timeout", "a number of seconds, above 0 and at most 120");
    config.timeout = std::chrono::milliseconds(std::max(1L, std::lround(timeout->get<double>() * 1000)));
  }
  const std::string down = string_in(config.json, "onAgentDown", "closed");
  if (down != "closed" && down != "open") fail_config("onAgentDown", "\"closed\" or \"open\"");
  config.on_agent_down = down == "open" ? OnAgentDown::kOpen : OnAgentDown::kClosed;
}

bool Config::is_at_least(const std::string &other) const {
  const auto place = [](const std::string &one) { return std::find(kVersions.begin(), kVersions.end(), one); };
  return place(version) >= place(other);
}

Environment read_environment() {
  const auto pod = arguments(text_of("CNI_ARGS"));
  const auto argument = [&](const char *name) {
    const auto found = pod.find(name);
    return found == pod.end() ? "" : found->second;
  };
  Environment environment{
      .command = text_of("CNI_COMMAND"),
      .container_id = text_of("CNI_CONTAINERID"),
      .netns = text_of("CNI_NETNS"),
      .ifname = text_of("CNI_IFNAME"),
      .pod_namespace = argument("K8S_POD_NAMESPACE"),
      .pod_name = argument("K8S_POD_NAME"),
      .pod_uid = argument("K8S_POD_UID"),
  };
  const auto need = [&](const char *name, const std::string &value) {
    if (value.empty()) throw CniError(CniCode::kInvalidEnvironment, std::string(name) + " is not set");
  };
  need("CNI_COMMAND", environment.command);
  const std::string &command = environment.command;
  const bool about_a_pod = command == "ADD" || command == "DEL" || command == "CHECK";
  if (about_a_pod) {
    need("CNI_CONTAINERID", environment.container_id);
    need("CNI_IFNAME", environment.ifname);
    if (!is_container_id(environment.container_id)) fail_variable("CNI_CONTAINERID", environment.container_id);
    if (!is_interface_name(environment.ifname)) fail_variable("CNI_IFNAME", environment.ifname);
  }
  if (command == "ADD" || command == "CHECK") need("CNI_NETNS", environment.netns);
  return environment;
}
