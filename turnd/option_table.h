// The two halves of the option table.
#pragma once

#include <span>

#include "turnd/options.h"

namespace turnkit::turnd {

std::span<const Option> live_options();  // option_table.cc
std::span<const Option> coturn_keys();   // coturn_keys.cc

}  // namespace turnkit::turnd
