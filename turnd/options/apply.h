// How one option, from either front end, takes effect on a draft.
#pragma once

#include <string>
#include <string_view>

#include "turnd/options/draft.h"

namespace turnkit::turnd {

// Errors and warnings go to the draft, with the place, and with the value unless it is a secret.
void apply_option(Draft& draft, const Option& option, std::string_view value, const Place& place);

// "; did you mean realm?" for a name that is close to an option's; empty otherwise.
std::string suggestion(std::string_view name);

}  // namespace turnkit::turnd
