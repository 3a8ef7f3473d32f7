// What --check-config looks at beyond what a start needs: what is unsafe, and what may not be what was meant.
#pragma once

#include "turnd/options/draft.h"

namespace turnkit::turnd {

// Reads the files of TLS and puts them together, as a start would; reports what is wrong with them, and a certificate
// that has ended or soon will.
void check_certificate(Draft& draft);

// Reports to the draft. Requires: settle() was called.
void audit(Draft& draft, const Environment& environment);

}  // namespace turnkit::turnd
