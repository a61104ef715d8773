// selvedge-cni: a chained CNI plugin. ADD returns once the agent says that the pod's policies are in the kernel, so that
// the pod's first packet is judged by them.
#include <unistd.h>

#include <iostream>

#include "cni_error.hh"
#include "commands.hh"
#include "input.hh"

namespace {

int tell(const std::string &version, const CniError &error) {
  Json told = {{"cniVersion", version}, {"code", static_cast<int>(error.code())}, {"msg", error.what()}};
  if (!error.details().empty()) told["details"] = error.details();
  std::cout << told.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  return 1;
}

/// "cniVersion: the value of cniVersion specified on input", which may be of any version; all else there does not matter.
std::string version_asked() {
  try {
    const Json asked = Json::parse(isatty(STDIN_FILENO) ? "" : read_input(STDIN_FILENO), nullptr, false);
    return asked.is_object() ? asked.value("cniVersion", kVersions.back()) : kVersions.back();
  } catch (const std::exception &) {
    return kVersions.back();
  }
}

int tell_versions() {
  const Json told = {{"cniVersion", version_asked()}, {"supportedVersions", kVersions}};
  std::cout << told.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  return 0;
}

} // namespace

int main() {
  Config config;
  try {
    const Environment environment = read_environment();
    if (environment.command == "VERSION") return tell_versions();
    read_config(read_input(STDIN_FILENO), config);
    if (const auto result = run_command(environment, config)) std::cout << result->dump() << std::endl;
    if (!std::cout) throw CniError(CniCode::kIo, "the result cannot be written");
    return 0;
  } catch (const CniError &error) {
    return tell(config.version, error);
  } catch (const std::exception &error) {
    return tell(config.version, CniError(CniCode::kDecode, error.what()));
  }
}
