// The commands of the CNI specification.
#pragma once

#include <optional>

#include "config.hh"

/// Does what CNI_COMMAND says. Returns what is to be printed, if anything. Throws CniError.
std::optional<Json> run_command(const Environment &environment, const Config &config);
