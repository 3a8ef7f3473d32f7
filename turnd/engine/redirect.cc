// Redirection, and turning clients away while the server drains.
#include "turnd/engine/redirect.h"

#include <algorithm>

#include "turnd/engine/engine.h"

namespace turnkit::engine {

namespace {

using stun::Attr;
using stun::Class;
using stun::Code;

bool contains(const std::vector<Address>& list, const Address& address) {
  return std::find(list.begin(), list.end(), address) != list.end();
}

}  // namespace

std::optional<Address> Redirector::choose(const Alternates& alternates, const FiveTuple& tuple,
                                          const ExternalIps& external) {
  if (alternates.empty()) return std::nullopt;
  const Address outside = external.to_external(tuple.server);
  const auto is_here = [&](const std::vector<Address>& list) {
    return contains(list, tuple.server) || contains(list, outside);
  };
  if (is_here(alternates.aux)) return std::nullopt;

  const bool datagrams = tuple.transport == Transport::kUdp || tuple.transport == Transport::kDtls;
  const bool secured = tuple.transport == Transport::kTls || tuple.transport == Transport::kDtls;
  const std::array<std::pair<const std::vector<Address>*, bool>, 5> lists{
      {{&alternates.udp, datagrams},
       {&alternates.tcp, !datagrams},
       {&alternates.aux, datagrams && alternates.self_balance},
       {&alternates.tls, secured},
       {&alternates.any, true}}};
  const auto it = std::find_if(lists.begin(), lists.end(), [](const auto& l) { return l.second && !l.first->empty(); });
  if (it == lists.end() || is_here(*it->first)) return std::nullopt;

  const std::vector<Address>& list = *it->first;
  std::uint32_t& next = next_[static_cast<std::size_t>(it - lists.begin())];
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Address& candidate = list[next++ % list.size()];
    if (candidate.family() == tuple.server.family()) return external.to_external(candidate);
  }
  return std::nullopt;
}

// RFC 8656, section 7.2, step 11. A stranger is sent on without credentials, as coturn does; whoever has them gets the
// answer with a MAC.
std::optional<Outcome> Engine::redirect(const Request& request) {
  const auto server = redirector_.choose(config().alternates, request.tuple, external_);
  if (!server) return std::nullopt;
  stun::Builder answer = begin(request, Class::kError);
  const std::size_t address_size = stun::kAttributeHeaderSize + (server->ip.is_v4() ? 8 : 20);
  answer.error_code(Code::kTryAlternate, phrase_for(request, Code::kTryAlternate, address_size));
  answer.address(Attr::kAlternateServer, *server);
  return finish(request, answer, Code::kTryAlternate);
}

}  // namespace turnkit::engine
