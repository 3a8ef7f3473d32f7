// The option table's parts: turnd's options by what they are about, and coturn's keys without a function here.
#pragma once

#include <span>

#include "turnd/options/options.h"

namespace turnkit::turnd {

// The groups of --help.
inline constexpr const char* kCommand = "Command line only";
inline constexpr const char* kListen = "Listening";
inline constexpr const char* kTls = "TLS and DTLS";
inline constexpr const char* kShare = "Sharing ports with a web server";
inline constexpr const char* kRelay = "Relaying";
inline constexpr const char* kRedirect = "Redirection";
inline constexpr const char* kLimit = "Limits";
inline constexpr const char* kPeer = "Peers";
inline constexpr const char* kAuth = "Authentication";
inline constexpr const char* kRealm = "Realms";
inline constexpr const char* kAnswer = "Answers";
inline constexpr const char* kLog = "Logging";
inline constexpr const char* kProcess = "Process";

std::span<const Option> listening_options();  // rows_listen.cc
std::span<const Option> tls_options();        // rows_tls.cc
std::span<const Option> relay_options();      // rows_relay.cc
std::span<const Option> auth_options();       // rows_auth.cc
std::span<const Option> process_options();    // rows_process.cc

std::span<const Option> live_options();  // table.cc: all of the above
std::span<const Option> coturn_keys();   // coturn_keys.cc

}  // namespace turnkit::turnd
