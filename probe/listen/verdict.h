// What a listener can say about each direction, from what one source sent and confirmed. Pure: evidence in, verdict
// out.
#pragma once

#include <string>

#include "base/clock.h"
#include "probe/listen/source.h"
#include "probe/report.h"

namespace turnkit::probe {

struct SourceVerdict {
  Verdict status = Verdict::kUnconfirmed;
  Confidence confidence = Confidence::kLow;
  std::string reason;    // a stable word for scripts
  std::string sentence;  // for a person, without the address
  std::string advice;    // empty: none
};

SourceVerdict judge(const Source& source, TimePoint now);
// TCP connection requests that arrive again and again although they are answered.
SourceVerdict judge_half_open();

}  // namespace turnkit::probe
