// A configuration file of any bytes: it is read or refused with messages, no message shows a secret, and what is read
// is consistent.
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "fuzz.h"
#include "turnd/options/config_file.h"
#include "turnd/options/options.h"

using namespace turnkit;
using namespace turnkit::fuzz;

namespace {

constexpr std::string_view kMarker = "Zq7MarkerOfASecret";

void check_messages(const std::vector<std::string>& messages) {
  for (const std::string& message : messages) {
    require(message.find(kMarker) == std::string::npos, "no message shows a secret");
    require(message.find('\n') == std::string::npos, "a message is one line");
    require(message.size() < 4096, "a message is short");
  }
}

void check_config(const turnd::Config& config) {
  require(config.min_port <= config.max_port && config.min_port != 0, "the port range is one");
  require(!config.realm.empty() && config.realm.size() <= 127, "there is a realm");
  require(config.relay_threads >= 1 && config.relay_threads <= 128, "there are workers");
  const turnd::PeerPolicy policy(config.peers);
  for (const IpAddress& ip : {IpAddress::v4(10, 0, 0, 5), IpAddress::v4(203, 0, 113, 5), IpAddress::v4(127, 0, 0, 1)}) {
    const turnd::PeerPolicy::IpDecision decision = policy.check_ip(ip);
    for (const std::uint16_t port : {std::uint16_t{1}, std::uint16_t{8443}, std::uint16_t{65535}}) {
      const bool allowed = policy.check({ip, port}) == turnd::PeerVerdict::kAllowed;
      require(decision.ports_differ || allowed == (decision.verdict == turnd::PeerVerdict::kAllowed),
              "check_ip() speaks for every port");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int fd = ::memfd_create("turnd.conf", MFD_CLOEXEC);
  static SystemRandom random;
  std::string marked;
  for (const char* key :
       {"user=alice:", "static-auth-secret=", "realm-user=r:bob:", "pkey-pwd=", "stateless-nonce-secret="}) {
    marked += key + std::string(kMarker) + "\n";
  }
  marked += "oauth-key=kid:" + std::string(kMarker) + "AAAAAAAAAAAAAAAAAAAAAAAAA=\nno-tls\nno-dtls\n";
  const std::string text = marked + std::string(data, data + size);
  require(fd >= 0 && ::ftruncate(fd, 0) == 0, "there is a file");
  require(::pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()), "the file is written");

  for (const turnd::ConfigLine& line : turnd::parse_config_text(std::string(data, data + size))) {
    require(line.number >= 1, "lines are counted from 1");
    require(!line.fault.empty() || (!line.key.empty() && line.key.size() + line.value.size() <= turnd::kMaxLine),
            "a line has a key");
    require(!line.fault.empty() || line.value.find('\n') == std::string::npos, "a value is one line");
  }

  std::string program = "turnd";
  std::string option = "-c";
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  char* argv[] = {program.data(), option.data(), path.data(), nullptr};
  turnd::Environment environment;
  environment.host_name = "fuzz";
  environment.search_system = false;
  environment.resolve = [](const std::string& host) -> Result<std::vector<IpAddress>> {
    if (host.size() % 2 == 0) return Error{"cannot resolve a name"};
    return std::vector<IpAddress>{IpAddress::v4(192, 0, 2, 1)};
  };
  environment.random = &random;
  const turnd::CommandLine line = turnd::parse_command_line(3, argv, environment);
  require(line.run == line.errors.empty(), "it runs unless there are errors");
  require(line.exit_code == (line.run ? turnd::kExitOk : turnd::kExitUsage), "the exit code says which");
  check_messages(line.errors);
  check_messages(line.warnings);
  if (line.run) check_config(line.config);

  for (std::string form : {"--json", "--verbose"}) {
    std::string check = "--check-config";
    char* check_argv[] = {program.data(), option.data(), path.data(), check.data(), form.data(), nullptr};
    const turnd::CommandLine checked = turnd::parse_command_line(5, check_argv, environment);
    require(!checked.run, "a check does not run");
    require(checked.exit_code >= line.exit_code, "a check finds every fault");
    require(checked.out.find(kMarker) == std::string::npos, "a report shows no secret");
  }
  return 0;
}
