#include "probe/listen/proc_net.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <memory>

#include "base/encoding.h"

namespace turnkit::probe {
namespace {

constexpr unsigned kRecentRetransmits = 3;  // answers leave after 0, 1, 3, 7 and 15 seconds

// Fields of a row, split at blanks.
class Fields {
 public:
  explicit Fields(std::string_view row) : rest_(row) {}
  std::string_view next() {
    const std::size_t begin = rest_.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    const std::size_t end = std::min(rest_.find_first_of(" \t", begin), rest_.size());
    const std::string_view field = rest_.substr(begin, end - begin);
    rest_.remove_prefix(end);
    return field;
  }

 private:
  std::string_view rest_;
};

template <typename T>
bool parse_number(std::string_view text, int base, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size();
}

// "0100007F:20FB": each 32-bit word of the address as the machine reads it, which is little-endian where this suite
// runs.
std::optional<Address> parse_endpoint(std::string_view text, Family family) {
  const std::size_t digits = family == Family::kIPv4 ? 8 : 32;
  if (text.size() != digits + 5 || text[digits] != ':') return std::nullopt;
  std::array<std::byte, 16> bytes{};
  for (std::size_t word = 0; word < digits / 8; ++word) {
    std::uint32_t value = 0;
    if (!parse_number(text.substr(word * 8, 8), 16, value)) return std::nullopt;
    for (std::size_t i = 0; i < 4; ++i) bytes[word * 4 + i] = static_cast<std::byte>(value >> (8 * i));
  }
  Address out{IpAddress::from_bytes(Bytes(bytes).first(digits / 2)), 0};
  if (!parse_number(text.substr(digits + 1), 16, out.port)) return std::nullopt;
  return out;
}

// sl local remote st tx:rx tr:when retrnsmt uid timeout inode
std::optional<ProcSocket> parse_row(std::string_view row, Family family) {
  Fields fields(row);
  if (!fields.next().ends_with(':')) return std::nullopt;
  const auto local = parse_endpoint(fields.next(), family);
  const auto remote = parse_endpoint(fields.next(), family);
  if (!local || !remote) return std::nullopt;
  ProcSocket out{*local, *remote};
  if (!parse_number(fields.next(), 16, out.state)) return std::nullopt;
  fields.next();
  fields.next();
  if (!parse_number(fields.next(), 16, out.retransmits)) return std::nullopt;
  if (!parse_number(fields.next(), 10, out.uid)) return std::nullopt;
  fields.next();
  if (!parse_number(fields.next(), 10, out.inode)) return std::nullopt;
  return out;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

std::vector<std::string> entries_of(const std::string& path) {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, CloseDir> dir(::opendir(path.c_str()));
  if (!dir) return out;
  while (const dirent* entry = ::readdir(dir.get())) out.emplace_back(entry->d_name);
  return out;
}

bool holds_socket(const std::string& fd_dir, const std::string& link) {
  const std::vector<std::string> fds = entries_of(fd_dir);
  return std::any_of(fds.begin(), fds.end(), [&](const std::string& fd) {
    std::array<char, 64> target{};
    const ssize_t size = ::readlink((fd_dir + "/" + fd).c_str(), target.data(), target.size());
    return size > 0 && std::string_view(target.data(), static_cast<std::size_t>(size)) == link;
  });
}

// The first process that holds the socket.
void find_process(std::uint64_t inode, const std::string& proc, PortOwner& out) {
  const std::string link = "socket:[" + std::to_string(inode) + "]";
  for (const std::string& entry : entries_of(proc)) {
    int pid = 0;
    if (!parse_number(std::string_view(entry), 10, pid) || !holds_socket(proc + "/" + entry + "/fd", link)) continue;
    out.pid = pid;
    out.name = read_file(proc + "/" + entry + "/comm");
    while (!out.name.empty() && out.name.back() == '\n') out.name.pop_back();
    return;
  }
}

}  // namespace

std::vector<ProcSocket> parse_proc_net(std::string_view text, Family family) {
  std::vector<ProcSocket> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (const auto socket = parse_row(text.substr(0, end), family)) out.push_back(*socket);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::vector<ProcSocket> read_proc_net(Protocol protocol, const std::string& proc) {
  const std::string table = proc + (protocol == Protocol::kUdp ? "/net/udp" : "/net/tcp");
  std::vector<ProcSocket> out = parse_proc_net(read_file(table), Family::kIPv4);
  const std::vector<ProcSocket> v6 = parse_proc_net(read_file(table + "6"), Family::kIPv6);
  out.insert(out.end(), v6.begin(), v6.end());
  return out;
}

std::vector<PortOwner> find_port_owners(Protocol protocol, std::uint16_t port, const std::string& proc) {
  std::vector<PortOwner> out;
  for (const ProcSocket& socket : read_proc_net(protocol, proc)) {
    if (socket.local.port != port || socket.inode == 0) continue;
    if (protocol == Protocol::kTcp && socket.state != kStateListen) continue;
    // A server that opens hundreds of sockets on one address is one owner.
    const bool known = std::any_of(out.begin(), out.end(),
                                   [&](const PortOwner& o) { return o.local == socket.local && o.uid == socket.uid; });
    if (known) continue;
    PortOwner owner{protocol, socket.local, socket.uid, std::nullopt, {}};
    find_process(socket.inode, proc, owner);
    out.push_back(std::move(owner));
  }
  return out;
}

std::string describe(const PortOwner& owner) {
  std::string who = "a process of user id " + std::to_string(owner.uid) + " (run as root to see which)";
  if (owner.pid) who = escaped(owner.name) + " (pid " + std::to_string(*owner.pid) + ")";
  return std::string(protocol_name(owner.protocol)) + " " + std::to_string(owner.local.port) + " is in use by " + who +
         ", bound to " + owner.local.to_string();
}

unsigned count_half_open(const std::vector<ProcSocket>& sockets, const IpAddress& client, std::uint16_t port) {
  const auto matches = [&](const ProcSocket& s) {
    return s.state == kStateSynReceived && s.local.port == port && s.remote.ip == client &&
           s.retransmits <= kRecentRetransmits;
  };
  return static_cast<unsigned>(std::count_if(sockets.begin(), sockets.end(), matches));
}

}  // namespace turnkit::probe
