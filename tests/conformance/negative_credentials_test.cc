// Malformed and hostile credentials: rows NEG-039 to NEG-049 and NEG-054 to NEG-066.
#include "base/digest.h"
#include "stun/integrity.h"
#include "tests/conformance/negative_fixture.h"

namespace turnkit::conformance {

namespace {

// A Binding request needs no credentials: those that are there are not looked at, and nothing reads past them.
constexpr std::string_view kBindingSeeds[] = {"NEG-039", "NEG-042", "NEG-043", "NEG-045", "NEG-054",
                                              "NEG-056", "NEG-062", "NEG-063", "NEG-064", "NEG-065"};

ByteVector as_allocate(std::string_view id) {
  ByteVector bytes = seed(id);
  store_be16(bytes.data(), stun::encode_type(Class::kRequest, Method::kAllocate));
  return bytes;
}

}  // namespace

TEST_P(Negative, NEG_039_the_first_username_counts) {
  Client& c = client();
  c.learn();
  const auto request = [&](const char* first, const char* second) {
    return allocate_with(c, [&](stun::Builder& m) {
      m.text(Attr::kUsername, first).text(Attr::kUsername, second);
      m.text(Attr::kRealm, c.challenge().realm).text(Attr::kNonce, c.challenge().nonce);
      c.add_mac(m);  // alice's
    });
  };
  EXPECT_TRUE(failed(request("bob", "alice"), 401));
  EXPECT_TRUE(succeeded(request("alice", "bob")));
}

TEST_P(Negative, NEG_039_credentials_in_a_binding_request_are_not_looked_at) {
  for (const std::string_view id : kBindingSeeds) EXPECT_TRUE(succeeded(client().exchange(seed(id)))) << id;
}

TEST_P(Negative, NEG_040_the_first_lifetime_counts) {
  Client& c = allocated();
  const Answer answer =
      c.request(Method::kRefresh, [](stun::Builder& m) { m.u32(Attr::kLifetime, 0).u32(Attr::kLifetime, 600); });
  EXPECT_EQ(answer.lifetime(), 0);
  EXPECT_TRUE(failed(c.refresh(), 437));
}

TEST_P(Negative, NEG_041_the_first_mac_counts) {
  Client& c = client();
  c.learn();
  const ByteVector wrong(20);
  EXPECT_TRUE(failed(allocate_with(c,
                                   [&](stun::Builder& m) {
                                     c.add_names(m);
                                     m.raw(Attr::kMessageIntegrity, wrong);
                                     c.add_mac(m);
                                   }),
                     401));
  ByteVector request = c.signed_message(Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17); });
  request.insert(request.end(), {std::byte{0}, std::byte{8}, std::byte{0}, std::byte{20}});
  request.resize(request.size() + 20);
  fix_length(request);
  EXPECT_TRUE(succeeded(c.exchange(request)));
}

TEST_P(Negative, NEG_042_a_mac_of_another_length_gets_400) {
  Client& c = client();
  c.learn();
  for (const std::size_t size : {0U, 19U, 21U, 32U}) {
    EXPECT_TRUE(failed(allocate_with(c,
                                     [&](stun::Builder& m) {
                                       c.add_names(m);
                                       m.raw(Attr::kMessageIntegrity, ByteVector(size));
                                     }),
                       400))
        << size;
  }
  EXPECT_TRUE(failed(client().exchange(as_allocate("NEG-042")), 400));
}

TEST_P(Negative, NEG_043_a_sha256_mac_that_is_too_short_gets_400) {
  Client& c = client({.style = Style::kSha256});
  c.learn();
  for (const std::size_t size : {0U, 4U, 12U}) {
    EXPECT_TRUE(failed(allocate_with(c,
                                     [&](stun::Builder& m) {
                                       c.add_names(m);
                                       m.raw(Attr::kMessageIntegritySha256, ByteVector(size));
                                     }),
                       400))
        << size;
  }
  EXPECT_TRUE(failed(client().exchange(as_allocate("NEG-043")), 400));
}

TEST_P(Negative, NEG_044_a_truncated_sha256_mac_is_refused) {
  Client& c = client({.style = Style::kSha256});
  c.learn();
  for (const std::size_t size : {16U, 20U, 24U, 28U}) {
    EXPECT_TRUE(failed(allocate_with(c,
                                     [&](stun::Builder& m) {
                                       c.add_names(m);
                                       m.integrity_sha256(c.key().bytes(), size);
                                     }),
                       401))
        << size;
  }
  EXPECT_TRUE(succeeded(c.allocate()));
}

TEST_P(Negative, NEG_045_a_sha256_mac_that_is_too_long_gets_400) {
  Client& c = client({.style = Style::kSha256});
  c.learn();
  for (const std::size_t size : {33U, 36U, 64U}) {
    EXPECT_TRUE(failed(allocate_with(c,
                                     [&](stun::Builder& m) {
                                       c.add_names(m);
                                       m.raw(Attr::kMessageIntegritySha256, ByteVector(size));
                                     }),
                       400))
        << size;
  }
  EXPECT_TRUE(failed(client().exchange(as_allocate("NEG-045")), 400));
}

TEST_P(Negative, NEG_046_sha256_before_sha1_decides) {
  Client& c = client({.style = Style::kSha256});
  c.learn();
  EXPECT_TRUE(succeeded(allocate_with(c, [&](stun::Builder& m) {
    c.add_names(m);
    c.add_mac(m);
    m.raw(Attr::kMessageIntegrity, ByteVector(20));
  })));
}

TEST_P(Negative, NEG_047_sha256_decides_where_both_are_there) {
  Client& c = client({.style = Style::kSha256});
  c.learn();
  EXPECT_TRUE(failed(allocate_with(c,
                                   [&](stun::Builder& m) {
                                     c.add_names(m);
                                     m.integrity_sha1(c.key().bytes());
                                     m.raw(Attr::kMessageIntegritySha256, ByteVector(32));
                                   }),
                     401));
  const Answer answer = allocate_with(c, [&](stun::Builder& m) {
    c.add_names(m);
    m.raw(Attr::kMessageIntegrity, ByteVector(20));
    m.integrity_sha256(c.key().bytes());
  });
  EXPECT_TRUE(succeeded(answer));
  EXPECT_TRUE(answer.has(Attr::kMessageIntegritySha256));
  EXPECT_FALSE(answer.has(Attr::kMessageIntegrity));
}

TEST_P(Negative, NEG_048_a_mac_over_the_length_with_fingerprint) {
  Client& c = client();
  c.learn();
  const auto request = [&](std::size_t counted_behind) {
    ByteVector bytes = make_message(Class::kRequest, Method::kAllocate, [&](stun::Builder& m) {
      m.requested_transport(17);
      c.add_names(m);
      m.raw(Attr::kMessageIntegrity, ByteVector(20)).fingerprint();
    });
    const std::size_t covered = bytes.size() - 8 - 24;
    ByteVector header(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(covered));
    store_be16(header.data() + 2, static_cast<std::uint16_t>(covered - 20 + 24 + counted_behind));
    const Sha1 mac = hmac_sha1(c.key().bytes(), {header});
    std::copy(mac.begin(), mac.end(), bytes.end() - 8 - 20);
    store_be32(bytes.data() + bytes.size() - 4, stun::fingerprint_of(Bytes(bytes).first(bytes.size() - 8)));
    return bytes;
  };
  EXPECT_TRUE(failed(c.exchange(request(8)), 401));
  EXPECT_TRUE(succeeded(c.exchange(request(0))));
}

TEST_P(Negative, NEG_049_the_key_of_another_user) {
  Client& c = client({.user = "alice", .password = "builder"});
  EXPECT_TRUE(failed(c.allocate(), 401));
  c.credentials() = {};
  EXPECT_TRUE(succeeded(c.allocate()));
  c.credentials() = {.user = "alice", .password = "builder"};
  EXPECT_TRUE(failed(c.refresh(0), 401));
  c.credentials() = {"bob", "builder"};
  EXPECT_TRUE(failed(c.refresh(0), 441));
}

TEST_P(Negative, NEG_054_an_empty_username_gets_400) {
  Client& c = client({.user = "", .password = "x"});
  EXPECT_TRUE(failed(c.allocate(), 400));
}

TEST_P(Negative, NEG_055_usernames_up_to_763_bytes_are_read) {
  EXPECT_TRUE(failed(client({.user = std::string(763, 'a')}).allocate(), 401));
  EXPECT_TRUE(failed(client({.user = std::string(764, 'a')}).allocate(), 400));
  EXPECT_TRUE(failed(client({.user = std::string(60'000, 'a')}).allocate(), 400));
}

TEST_P(Negative, NEG_056_a_username_that_is_no_text_gets_401) {
  for (const std::string& user : {std::string("a\0b", 3), std::string("\xC0\xAF"), std::string("\xFF"),
                                  std::string("alice\x1b[2J"), std::string("\xED\xA0\x80")}) {
    EXPECT_TRUE(failed(client({.user = user}).allocate(), 401)) << escaped(user);
  }
}

TEST_P(Negative, NEG_057_a_foreign_realm_gets_401_with_ours) {
  Client& c = client();
  c.learn();
  c.challenge().realm = "example.com";
  const Answer answer = c.allocate();
  EXPECT_TRUE(failed(answer, 401));
  EXPECT_EQ(answer.text(Attr::kRealm), "example.org");
}

TEST_P(Negative, NEG_058_broken_nonces_get_438_only_with_the_right_credentials) {
  Client& c = client();
  c.learn();
  const std::string good = c.challenge().nonce;
  for (const std::string& nonce :
       {std::string(), std::string(128, 'x'), std::string(1000, 'x'), std::string("0123456789abcdef"),
        std::string("obMatJos2AA"), good.substr(0, 28), good + "A", std::string(29, '\0')}) {
    c.challenge().nonce = nonce.empty() ? std::string("\0", 1) : nonce;
    c.credentials().password = "wrong";
    EXPECT_TRUE(failed(c.allocate(), 401)) << nonce;
    c.credentials().password = "wonderland";
    EXPECT_TRUE(failed(c.allocate(), 438)) << nonce;
  }
  const auto empty = [&](stun::Builder& m) {
    m.text(Attr::kUsername, "alice").text(Attr::kRealm, c.challenge().realm).text(Attr::kNonce, "");
    c.add_mac(m);
  };
  EXPECT_TRUE(failed(allocate_with(c, empty), 438));
}

TEST_P(Negative, NEG_059_an_altered_nonce_cookie_makes_the_nonce_unknown) {
  Client& c = client();
  c.learn();
  const std::string good = c.challenge().nonce;
  for (const char* cookie : {"AAAA", "QAAA", "gAAA", "////"}) {
    std::string altered = good;
    altered.replace(9, 4, cookie);
    if (altered == good) continue;
    c.challenge().nonce = altered;
    EXPECT_TRUE(failed(c.allocate(), 438)) << altered;
  }
  c.challenge().nonce = good;
  EXPECT_TRUE(succeeded(c.allocate()));
}

// The rows of PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS: what each has beside right names and a right MAC.
class NegativeAlgorithms : public Negative {
 protected:
  Answer with(const std::optional<ByteVector>& list, const std::optional<ByteVector>& choice) {
    Client& c = client({.style = Style::kSha256});
    c.learn();
    return allocate_with(c, [&](stun::Builder& m) {
      m.text(Attr::kUsername, "alice");
      m.text(Attr::kRealm, c.challenge().realm).text(Attr::kNonce, c.challenge().nonce);
      if (list) m.raw(Attr::kPasswordAlgorithms, *list);
      if (choice) m.raw(Attr::kPasswordAlgorithm, *choice);
      c.add_mac(m);
    });
  }
  const ByteVector offered = *from_hex("0002000000010000");
  const ByteVector sha256 = *from_hex("00020000");
};

INSTANTIATE_TEST_SUITE_P(Conformance, NegativeAlgorithms, testing::Values(Kind::kEngine, Kind::kBinary),
                         [](const testing::TestParamInfo<Kind>& kind) {
                           return std::string(kind.param == Kind::kEngine ? "engine" : "binary");
                         });

TEST_P(NegativeAlgorithms, NEG_060_a_choice_without_the_list_gets_400) {
  EXPECT_TRUE(failed(with(std::nullopt, sha256), 400));
  EXPECT_TRUE(succeeded(with(offered, sha256)));
}

TEST_P(NegativeAlgorithms, NEG_061_a_changed_list_gets_400) {
  EXPECT_TRUE(failed(with(*from_hex("0001000000020000"), sha256), 400));
  EXPECT_TRUE(failed(with(*from_hex("00020000"), sha256), 400));
  EXPECT_TRUE(failed(with(*from_hex("000200000001000000030000"), sha256), 400));
}

TEST_P(NegativeAlgorithms, NEG_062_parameters_beyond_the_end_get_400) {
  EXPECT_TRUE(failed(with(*from_hex("0002fff0"), sha256), 400));
  EXPECT_TRUE(failed(with(offered, *from_hex("0002fff0")), 400));
}

TEST_P(NegativeAlgorithms, NEG_063_an_empty_or_a_huge_list_gets_400) {
  EXPECT_TRUE(failed(with(ByteVector{}, sha256), 400));
  ByteVector huge;
  for (int i = 0; i < 10'000; ++i) huge.insert(huge.end(), sha256.begin(), sha256.end());
  EXPECT_TRUE(failed(with(huge, sha256), 400));
}

TEST_P(NegativeAlgorithms, NEG_064_a_choice_that_is_cut_gets_400) {
  for (const std::size_t size : {0U, 2U, 3U}) {
    EXPECT_TRUE(
        failed(with(offered, ByteVector(sha256.begin(), sha256.begin() + static_cast<std::ptrdiff_t>(size))), 400))
        << size;
  }
  EXPECT_TRUE(failed(with(offered, *from_hex("0002000400000000")), 400)) << "SHA-256 has no parameters";
}

TEST_P(Negative, NEG_065_a_userhash_of_another_length_gets_400) {
  Client& c = client();
  c.learn();
  for (const std::size_t size : {0U, 31U, 33U}) {
    EXPECT_TRUE(
        failed(allocate_with(c,
                             [&](stun::Builder& m) {
                               m.raw(Attr::kUserhash, ByteVector(size));
                               m.text(Attr::kRealm, c.challenge().realm).text(Attr::kNonce, c.challenge().nonce);
                               c.add_mac(m);
                             }),
               400))
        << size;
  }
}

TEST_P(Negative, NEG_066_username_and_userhash_together_get_400) {
  Client& c = client();
  c.learn();
  EXPECT_TRUE(failed(allocate_with(c,
                                   [&](stun::Builder& m) {
                                     m.raw(Attr::kUserhash, auth::userhash("alice", "example.org"));
                                     c.add_names(m);
                                     c.add_mac(m);
                                   }),
                     400));
}

TEST_P(Negative, NEG_096_broken_access_tokens_are_challenged) {
  EXPECT_TRUE(failed(client().exchange(seed("NEG-096")), 401));
  Client& c = client();
  for (const char* token : {"ffff0000", "0000", "", "000c00"}) {
    EXPECT_TRUE(failed(c.allocate([&](stun::Builder& m) { m.raw(Attr::kAccessToken, *from_hex(token)); }), 420))
        << "RFC 7635 is not offered, so the attribute is unknown";
  }
}

}  // namespace turnkit::conformance
