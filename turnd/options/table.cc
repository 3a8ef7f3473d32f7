// The option table put together from its parts.
#include "turnd/options/table.h"

#include <algorithm>

namespace turnkit::turnd {
namespace {

constexpr const char* kGroups[] = {kCommand, kListen, kTls,   kShare,  kRelay, kRedirect, kLimit,
                                   kPeer,    kAuth,   kRealm, kAnswer, kLog,   kProcess};

std::vector<Option> joined(std::initializer_list<std::span<const Option>> parts) {
  std::vector<Option> table;
  for (const std::span<const Option> part : parts) table.insert(table.end(), part.begin(), part.end());
  return table;
}

}  // namespace

std::span<const Option> live_options() {
  static const std::vector<Option> kTable =
      joined({listening_options(), tls_options(), relay_options(), auth_options(), process_options()});
  return kTable;
}

std::span<const Option> option_table() {
  static const std::vector<Option> kTable = joined({live_options(), coturn_keys()});
  return kTable;
}

const Option* find_option(std::string_view name) {
  const std::span<const Option> table = option_table();
  const auto it = std::find_if(table.begin(), table.end(), [&](const Option& option) { return option.name == name; });
  return it == table.end() ? nullptr : &*it;
}

std::span<const char* const> option_groups() { return kGroups; }

}  // namespace turnkit::turnd
