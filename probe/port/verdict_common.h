// What the verdicts on UDP and on TCP share: the shape of a check, and the rules that read the same evidence.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "probe/port/evidence.h"
#include "probe/report.h"

namespace turnkit::probe {

enum class PathState : std::uint8_t { kUnknown, kWorks, kFails };

Check new_check(Protocol protocol, const Address& target);  // both directions unknown
std::string name_of(const Check& check);                    // "UDP 203.0.113.5:8443"
void set(Check& check, Verdict status, Confidence confidence, std::string reason, std::string headline);
void set_directions(Check& check, PathState client_to_server, PathState server_to_client);

std::string listen_command(std::uint16_t port);  // what to run at the far end
std::string_view via_name(AccountVia via);       // "TCP"
std::string_view foreign_name(Foreign kind);     // "an echo service"
std::string foreign_reason(Foreign kind);        // "echo-service"

void add_rtt(Check& check, const std::vector<double>& rtt_ms);
void add_mapping(Check& check, const std::optional<Address>& mapped, const Address& local);
void add_common_facts(Check& check, const Address& local, const std::optional<Address>& mapped, const Nonce& nonce,
                      const std::vector<IcmpSeen>& icmp, const ForeignData& foreign, const std::vector<double>& rtt_ms);
void add_account_facts(Check& check, const ServerAccount& account);

void judge_icmp(const IcmpSeen& icmp, const Address& target, const Address& local, Check& check);
void judge_own_system(int error, Check& check);  // the own system did not even send
void judge_other_version(Check& check);
// Somebody else's answer. `advice` is for one that no person typed.
void judge_foreign(const ForeignData& foreign, std::string_view advice, Check& check);

}  // namespace turnkit::probe
