// From what was seen of a STUN server to what it means.
#pragma once

#include <vector>

#include "client/retransmission.h"
#include "probe/report.h"
#include "probe/stun/evidence.h"
#include "probe/stun/options.h"

namespace turnkit::probe {

client::RetransmitConfig schedule_of(Patience patience);

// `show_attributes`: of the first answer, as details and facts.
Check judge_stun(const StunEvidence& evidence, bool show_attributes);
// Failures of one SRV target where another one answers are warnings: clients go on to the next (RFC 8489, section 8).
void weigh_alternatives(const std::vector<StunEvidence>& evidence, std::vector<Check>& checks);

}  // namespace turnkit::probe
