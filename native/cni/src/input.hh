// What a container runtime gives on standard input.
#pragma once

#include <string>

/// All of it, to its end. Throws CniError where it is longer than any configuration, or its end does not come.
std::string read_input(int fd);
