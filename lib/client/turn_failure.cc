// What a failed request means, in words and as advice: see Failure in turn_session.h.
#include <string>

#include "base/encoding.h"
#include "client/turn_session.h"

namespace turnkit::client {

std::string_view request_name(Request request) {
  switch (request) {
    case Request::kAllocate:
      return "Allocate";
    case Request::kRefresh:
      return "Refresh";
    case Request::kCreatePermission:
      return "CreatePermission";
    case Request::kChannelBind:
      return "ChannelBind";
  }
  return "Unknown";
}

std::string Failure::text() const {
  std::string what(request_name(request));
  if (!peers.empty()) what += " for " + peers.front().to_string();
  const std::string answer = code == 0 ? "an answer" : "error " + std::to_string(code);
  switch (kind) {
    case Kind::kError: {
      std::string text = what + " was refused with " + answer;
      if (!reason.empty()) text += " (" + escaped(reason) + ")";
      for (std::size_t i = 0; i < unknown_attributes.size(); ++i) {
        const std::string_view name = stun::attribute_name(unknown_attributes[i]);
        text += i == 0 ? "; the server does not know " : ", ";
        text += name.empty() ? "attribute " + std::to_string(static_cast<unsigned>(unknown_attributes[i]))
                             : std::string(name);
      }
      if (alternate_server) text += "; it names " + alternate_server->to_string() + " instead";
      return text + ".";
    }
    case Kind::kTimeout:
      return what + " was not answered.";
    case Kind::kIntegrity:
      return what + " got " + answer + " without a valid MESSAGE-INTEGRITY, which cannot be believed.";
    case Kind::kMalformed:
      return what + " got an answer that cannot be used: " + escaped(reason) + ".";
    case Kind::kChallenge:
      return what + " was met with " + answer + ": " + std::string(explain(challenge)) + ".";
    case Kind::kUnreachable:
      return what + " failed: the server's host answered with an ICMP error, so nothing listens there.";
  }
  return what + " failed.";
}

Failure::Advice Failure::advice() const {
  if (kind != Kind::kError) return Advice::kGiveUp;
  switch (static_cast<stun::Code>(code)) {
    case stun::Code::kTryAlternate:
      return alternate_server ? Advice::kRedirect : Advice::kGiveUp;
    case stun::Code::kBadRequest:
      return request == Request::kChannelBind ? Advice::kReallocate : Advice::kGiveUp;
    case stun::Code::kUnknownAttribute:
      return Advice::kRetryWithoutOptions;
    case stun::Code::kAllocationMismatch:
      return request == Request::kAllocate ? Advice::kNewLocalPort : Advice::kReallocate;
    case stun::Code::kAllocationQuotaReached:
    case stun::Code::kInsufficientCapacity:
      return Advice::kWaitAMinute;
    default:
      return Advice::kGiveUp;
  }
}

}  // namespace turnkit::client
