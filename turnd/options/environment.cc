// What the process finds around it.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "turnd/options/cpu_quota.h"
#include "turnd/options/options.h"

namespace turnkit::turnd {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// The NIS domain, as in coturn, or else the host name; empty when neither is set.
std::string realm_of_host() {
  std::array<char, 256> buffer{};
  if (::getdomainname(buffer.data(), buffer.size() - 1) == 0 && buffer[0] != '\0' &&
      std::string_view(buffer.data()) != "(none)") {
    return buffer.data();
  }
  buffer.fill('\0');
  return ::gethostname(buffer.data(), buffer.size() - 1) == 0 ? buffer.data() : std::string();
}

unsigned cpus_of_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<unsigned>(CPU_COUNT(&set));
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<unsigned>(online) : 1;
}

// What the scheduler and the quota of the container leave: a worker more would only wait.
unsigned usable_cpus() {
  const unsigned cpus = cpus_of_affinity();
  return std::min(cpus, cpu_quota().value_or(cpus));
}

}  // namespace

Environment Environment::of_process(const char* program, Random& random) {
  Environment out;
  out.state_directory = variable("STATE_DIRECTORY");
  out.xdg_state_home = variable("XDG_STATE_HOME");
  out.home = variable("HOME");
  out.credentials_directory = variable("CREDENTIALS_DIRECTORY");
  out.host_name = realm_of_host();
  if (program != nullptr && std::string_view(program).find('/') != std::string_view::npos) {
    out.program_directory = std::filesystem::path(program).parent_path().string();
  }
  out.called_turnserver = program != nullptr && std::filesystem::path(program).filename().string() == "turnserver";
  out.uid = ::geteuid();
  out.cpus = usable_cpus();
  out.random = &random;
  return out;
}

}  // namespace turnkit::turnd
