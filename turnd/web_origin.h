// The form in which values of the STUN attribute ORIGIN are compared: in options, and in requests.
#pragma once

#include <string>
#include <string_view>

namespace turnkit::turnd {

// "scheme://host[:port]" in lower case, without path and without the default port of http and https; other text is
// returned as it is. ORIGIN values (draft-ietf-tram-stun-origin) are compared in this
// form.
std::string canonical_origin(std::string_view text);

}  // namespace turnkit::turnd
