// IP addresses and transport addresses as plain values. No sockets here: lib/net converts to sockaddr.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/bytes.h"

namespace turnkit {

// Values are those of the STUN address family octet (RFC 8489, section 14.1).
enum class Family : std::uint8_t { kIPv4 = 1, kIPv6 = 2 };

// An IPv4 or IPv6 address in network order. IPv4 uses the first 4 of the 16 bytes; the others stay zero.
class IpAddress {
 public:
  constexpr IpAddress() = default;  // 0.0.0.0
  static constexpr IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    IpAddress ip;
    ip.bytes_[0] = std::byte{a};
    ip.bytes_[1] = std::byte{b};
    ip.bytes_[2] = std::byte{c};
    ip.bytes_[3] = std::byte{d};
    return ip;
  }
  // From 4 (IPv4) or 16 (IPv6) bytes in network order. Requires: no other size.
  static IpAddress from_bytes(Bytes bytes);
  static IpAddress any(Family family);
  // "192.0.2.1", "2001:db8::1" or "[2001:db8::1]"; no zone, no port, no name.
  static std::optional<IpAddress> parse(std::string_view text);

  [[nodiscard]] constexpr Family family() const { return family_; }
  [[nodiscard]] constexpr bool is_v4() const { return family_ == Family::kIPv4; }
  // 4 or 16 bytes, network order.
  [[nodiscard]] Bytes bytes() const { return Bytes(bytes_).first(is_v4() ? 4 : 16); }

  [[nodiscard]] bool is_unspecified() const;
  [[nodiscard]] bool is_loopback() const;    // 127.0.0.0/8, ::1
  [[nodiscard]] bool is_multicast() const;   // 224.0.0.0/4, ff00::/8
  [[nodiscard]] bool is_link_local() const;  // 169.254.0.0/16, fe80::/10
  // The IPv4 address inside an IPv4-mapped, IPv4-compatible, 6to4 (2002::/16), Teredo (2001::/32, the obfuscated client
  // address) or NAT64 (64:ff9b::/96 and 64:ff9b:1::/48's last 32 bits) address; otherwise the address itself.
  [[nodiscard]] IpAddress canonical() const;
  [[nodiscard]] bool is_teredo() const;  // 2001::/32
  [[nodiscard]] bool is_6to4() const;    // 2002::/16

  // "192.0.2.1" or "2001:db8::1" (RFC 5952).
  [[nodiscard]] std::string to_string() const;

  // By family, then by value. Written out because the look-ups of the data paths live on them, and GCC makes byte loops
  // of the defaulted ones.
  friend constexpr bool operator==(const IpAddress& a, const IpAddress& b) {
    if (std::is_constant_evaluated()) return a.family_ == b.family_ && a.bytes_ == b.bytes_;
    return a.family_ == b.family_ && std::memcmp(a.bytes_.data(), b.bytes_.data(), sizeof(a.bytes_)) == 0;
  }
  friend constexpr std::strong_ordering operator<=>(const IpAddress& a, const IpAddress& b) {
    if (a.family_ != b.family_) return a.family_ <=> b.family_;
    if (std::is_constant_evaluated()) return a.bytes_ <=> b.bytes_;
    return std::memcmp(a.bytes_.data(), b.bytes_.data(), sizeof(a.bytes_)) <=> 0;
  }

 private:
  std::array<std::byte, 16> bytes_{};
  Family family_ = Family::kIPv4;
};

// The addresses from `first` to `last`, both included; one family.
struct IpRange {
  IpAddress first;
  IpAddress last;

  // "a", "a-b" or CIDR "a/len"; nullopt when it is none of these, the families differ or first > last.
  static std::optional<IpRange> parse(std::string_view text);
  [[nodiscard]] bool contains(const IpAddress& ip) const {
    return ip.family() == first.family() && first <= ip && ip <= last;
  }
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const IpRange&, const IpRange&) = default;
};

// A transport address: IP address and port (host byte order).
struct Address {
  IpAddress ip;
  std::uint16_t port = 0;

  // "192.0.2.1:3478" or "[2001:db8::1]:3478".
  static std::optional<Address> parse(std::string_view text);
  // The same with `default_port` where the text has none ("192.0.2.1", "2001:db8::1", "[2001:db8::1]").
  static std::optional<Address> parse(std::string_view text, std::uint16_t default_port);
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] Family family() const { return ip.family(); }

  friend constexpr auto operator<=>(const Address&, const Address&) = default;
};

// A fast mix for hash tables; not for security.
std::size_t hash_value(const IpAddress& ip) noexcept;
std::size_t hash_value(const Address& address) noexcept;

}  // namespace turnkit

template <>
struct std::hash<turnkit::IpAddress> {
  std::size_t operator()(const turnkit::IpAddress& ip) const noexcept { return turnkit::hash_value(ip); }
};
template <>
struct std::hash<turnkit::Address> {
  std::size_t operator()(const turnkit::Address& a) const noexcept { return turnkit::hash_value(a); }
};
