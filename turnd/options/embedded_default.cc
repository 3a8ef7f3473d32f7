// The embedded default: a generated realm and secret in the state directory, private peers denied.
#include "turnd/options/embedded_default.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "auth/credentials.h"
#include "base/encoding.h"
#include "net/fd.h"

namespace turnkit::turnd {
namespace {

constexpr const char* kFileName = "/turnd.conf";

Error failed(const std::string& path, std::string_view what) {
  return Error{fmt::format("{}: {}: {}", path, what, std::strerror(errno))};
}

// Creates `path` and what is missing above it, for the owner only.
Status make_directories(const std::string& path) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return failed(part, "cannot create the state directory (choose another with --state-dir)");
    }
    if (slash == std::string::npos) return {};
  }
}

Status check_directory(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return failed(path, "cannot use the state directory");
  if (!S_ISDIR(info.st_mode)) return Error{path + ": the state directory is not a directory"};
  if (info.st_uid != ::geteuid()) {
    return Error{
        fmt::format("{}: the state directory belongs to user id {}, not to {}; chown it or choose another with "
                    "--state-dir",
                    path, info.st_uid, ::geteuid())};
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Error{fmt::format("{}: others may write into the state directory (mode {:04o}); chmod 700 it", path,
                             info.st_mode & 07777)};
  }
  return {};
}

// An existing file must be ours alone: whoever else can read it can relay, whoever can write it can change the
// configuration.
Status check_file(const std::string& path, const struct stat& info) {
  if (!S_ISREG(info.st_mode))
    return Error{path + ": expected a regular file; remove it to have a new secret generated"};
  if (info.st_uid != ::geteuid()) {
    return Error{
        fmt::format("{}: belongs to user id {}, not to {}; chown it, or remove it to have a new secret generated", path,
                    info.st_uid, ::geteuid())};
  }
  if ((info.st_mode & 077) != 0) {
    return Error{
        fmt::format("{}: others may use this file (mode {:04o}), so its secret may be known; remove it to have a "
                    "new one generated, or chmod 600 it",
                    path, info.st_mode & 07777)};
  }
  return {};
}

// URL-safe, so that it survives every configuration format unquoted.
std::string random_text(Random& random, std::size_t bytes) {
  std::array<std::byte, 32> buffer{};
  random.fill(MutableBytes(buffer).first(bytes));
  return to_hex(Bytes(buffer).first(bytes));
}

std::string file_text(Random& random) {
  return fmt::format(
      "# turnd generated this file because it was started without a configuration file. Later starts read it again.\n"
      "# It holds a secret: keep it readable by its owner only. Remove it to have a new secret generated.\n"
      "# Any option of turnd.conf(5) may be added; for a configuration of your own, copy it to /etc/turnd.conf.\n"
      "\n"
      "realm=turnd-{}\n"
      "static-auth-secret={}\n"
      "\n"
      "# Clients reach no private address through this server. To let them reach a media server beside it, add for "
      "example:\n"
      "# allowed-peer-ip=10.0.0.5:8443\n"
      "no-private-peers\n",
      random_text(random, 4), random_text(random, 32));
}

Status write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(path, "cannot write");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return ::fsync(fd) == 0 ? Status{} : Status(failed(path, "cannot write"));
}

// Writes a temporary file beside `path` and links it there: the name appears with its whole content, and never replaces
// a file that another start put there first. The value is false in that case.
Result<bool> create_file(const std::string& path, std::string_view text) {
  std::string temporary = path + ".XXXXXX";
  const net::UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return failed(path, "cannot create");
  Status status = write_all(fd.get(), text, path);
  bool created = false;
  if (status) {
    created = ::link(temporary.c_str(), path.c_str()) == 0;
    if (!created && errno != EEXIST) status = failed(path, "cannot create");
  }
  ::unlink(temporary.c_str());
  if (!status) return status.error();
  return created;
}

}  // namespace

Result<std::string> state_directory(const std::string& wanted, const Environment& environment) {
  if (!wanted.empty()) return wanted;
  if (!environment.state_directory.empty()) {
    return environment.state_directory.substr(0, environment.state_directory.find(':'));
  }
  if (environment.uid == 0) return std::string("/var/lib/turnd");
  if (environment.xdg_state_home.starts_with('/')) return environment.xdg_state_home + "/turnd";
  if (!environment.home.empty()) return environment.home + "/.local/state/turnd";
  return Error{
      "no place for the generated secret: $HOME is not set; name a directory with --state-dir, or a configuration "
      "file with -c"};
}

Result<EmbeddedDefault> prepare_embedded_default(const std::string& directory, Random& random) {
  if (const Status made = make_directories(directory); !made) return made.error();
  if (const Status checked = check_directory(directory); !checked) return checked.error();
  EmbeddedDefault out{directory + kFileName, false};
  struct stat info {};
  if (::lstat(out.path.c_str(), &info) != 0) {
    if (errno != ENOENT) return failed(out.path, "cannot use");
    const Result<bool> created = create_file(out.path, file_text(random));
    if (!created) return created.error();
    out.created = *created;
    if (::lstat(out.path.c_str(), &info) != 0) return failed(out.path, "cannot use");
  }
  if (const Status checked = check_file(out.path, info); !checked) return checked.error();
  return out;
}

std::string embedded_default_text(const Config& config, const Address& server, WallTime now) {
  if (config.rest_secrets.empty()) return fmt::format("turnd is ready; it reads {}.\n", config.origin.path);
  const std::string& secret = config.rest_secrets.front();
  const std::string address = server.to_string();
  const std::string url = fmt::format("turn:{}?transport=udp", address);
  const WallTime expiry = now + std::chrono::hours(24);
  const std::string user = fmt::format("{}{}turnd", expiry.time_since_epoch().count(), config.rest_separator);
  const std::string password = auth::rest_password(secret, user);
  const std::string until = fmt::format("{:%Y-%m-%d %H:%M}", fmt::gmtime(expiry.time_since_epoch().count()));
  return fmt::format(
      R"(
turnd is ready on port {port}. It runs without a configuration file, on a secret that it {made} in
{path} (remove the file to get a new one).

  address  {url}
  secret   {secret}
  realm    {realm}

Mattermost Calls, System Console > Plugins > Calls (and rtcd, if you run it):
  ICE Servers Configurations   [{{"urls":["stun:{address}"]}},{{"urls":["{url}"]}}]
  TURN Static Auth Secret      {secret}
  rtcd, config.toml, [rtc]     turn.static_auth_secret = "{secret}"

Any other WebRTC service; these credentials are good until {until} UTC:
  {{"urls":"{url}","username":"{user}","credential":"{password}"}}

Try it from a machine with a public address (within a private network, start turnd with --no-private-peers=off):
  turn-probe load {address} --user '{user}' --password '{password}' --allocations 10 --rate 1000

Clients reach public addresses through it, private ones only when a line in that file allows them:
  allowed-peer-ip=10.0.0.5:8443
)",
      fmt::arg("port", server.port), fmt::arg("made", config.origin.created ? "generated" : "found"),
      fmt::arg("path", config.origin.path), fmt::arg("url", url), fmt::arg("secret", secret),
      fmt::arg("realm", config.realm), fmt::arg("address", address), fmt::arg("until", until), fmt::arg("user", user),
      fmt::arg("password", password));
}

void show_embedded_default(const Config& config, const Address& server) {
  if (config.origin.kind != Origin::Kind::kEmbeddedDefault || ::isatty(STDOUT_FILENO) != 1) return;
  std::puts(embedded_default_text(config, server, read_clock().wall).c_str());
}

}  // namespace turnkit::turnd
