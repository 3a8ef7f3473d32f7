// Random sequences of right and wrong messages from several clients and peers, under virtual time: whatever the engine
// answers and relays must be what the model says, and nothing else may come out of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "tests/conformance/harness/client.h"
#include "tests/conformance/harness/engine_harness.h"
#include "tests/sim/model.h"

namespace turnkit::sim {

using conformance::Answer;
using conformance::ByteVector;
using conformance::Client;
using conformance::EngineHarness;
using conformance::Socket;
using stun::Attr;
using stun::Class;
using stun::Method;
using namespace std::chrono_literals;

namespace {

constexpr int kSteps = 4000;
constexpr int kClients = 5;

const std::map<std::string, std::string> kPasswords = {{"alice", "wonderland"}, {"bob", "builder"}};

ModelConfig model_config() {
  ModelConfig config;
  config.forbidden = {IpAddress::v4(192, 0, 2, 66)};
  return config;
}

conformance::Options server_options(const ModelConfig& config) {
  conformance::Options options;
  options.ipv6 = true;
  options.nonce_lifetime = config.nonce_lifetime;
  options.user_quota = config.user_quota;
  options.max_permissions = static_cast<std::uint32_t>(config.max_permissions);
  options.max_channels = static_cast<std::uint32_t>(config.max_channels);
  for (const IpAddress& ip : config.forbidden) options.denied_peers.push_back(ip.to_string());
  return options;
}

}  // namespace

// One run: the engine, the model, and the dice.
class Run {
 public:
  explicit Run(std::uint64_t seed)
      : dice_(seed), harness_(server_options(model_config()), seed), model_(model_config()) {
    for (int i = 0; i < kClients; ++i) {
      clients_.push_back(std::make_unique<Client>(harness_, conformance::Credentials{}, Address{harness_.ip(1), 0},
                                                  harness_.server()));
      clients_.back()->learn();
      nonce_issued_.push_back(harness_.now().wall);
    }
    for (unsigned n = 2; n < 6; ++n) add_peer({harness_.ip(n), 5000});
    add_peer({harness_.ip(2), 5001});
    add_peer({*IpAddress::parse("::1"), 5000});
    add_peer({*IpAddress::parse("::1"), 5001});
    add_peer({*IpAddress::parse("2001:db8::1"), 5000});
    peers_only_named_.push_back({IpAddress::v4(192, 0, 2, 66), 5000});
  }

  void step() {
    const std::size_t c = below(kClients);
    switch (below(20)) {
      case 0:
      case 1:
      case 2:
        return request(c, allocate());
      case 3:
      case 4:
        return request(c, refresh());
      case 5:
      case 6:
      case 7:
        return request(c, create_permission());
      case 8:
      case 9:
      case 10:
        return request(c, channel_bind());
      case 11:
      case 12:
        return send(c);
      case 13:
      case 14:
        return channel_data(c);
      case 15:
      case 16:
        return peer_data();
      case 17:
        return noise(c);
      case 18:
        return repeat();
      default:
        return pass_time();
    }
  }

  void check_quiet() {
    for (std::size_t c = 0; c < clients_.size(); ++c) {
      EXPECT_FALSE(clients_[c]->socket().poll()) << "client " << c << " got what nobody sent";
    }
    for (const auto& peer : peers_) EXPECT_FALSE(peer->poll()) << peer->local().to_string() << " got what nobody sent";
    if (swept_) {
      EXPECT_EQ(harness_.engine().allocations(), model_.alive(harness_.now().mono));
    }
  }

 private:
  std::uint32_t below(std::uint32_t bound) { return std::uniform_int_distribution<std::uint32_t>(0, bound - 1)(dice_); }
  bool chance(int percent) { return below(100) < static_cast<std::uint32_t>(percent); }
  template <typename T>
  T one_of(const std::vector<T>& list) {
    return list[below(static_cast<std::uint32_t>(list.size()))];
  }
  void add_peer(const Address& address) { peers_.push_back(harness_.open(address)); }
  Address any_peer() {
    if (chance(5)) return one_of(peers_only_named_);
    return peers_[below(static_cast<std::uint32_t>(peers_.size()))]->local();
  }
  std::optional<std::uint32_t> any_lifetime() {
    if (chance(40)) return std::nullopt;
    return one_of<std::uint32_t>({0, 1, 599, 600, 601, 1000, 3600, 3601, 0xFFFFFFFF});
  }

  Ask allocate() {
    Ask ask;
    ask.method = Method::kAllocate;
    ask.lifetime = any_lifetime();
    if (chance(5)) ask.transport = one_of<std::optional<std::uint8_t>>({std::nullopt, 6, 0});
    if (chance(25)) ask.even_port = chance(60);
    if (chance(25)) ask.family = one_of<std::uint8_t>({1, 2, 2, 3});
    ask.additional_family = chance(25);
    if (!tokens_.empty() && chance(25)) {
      ask.token = one_of(tokens_);
      if (chance(80)) {
        ask.even_port.reset();
        ask.family.reset();
        ask.additional_family = false;
      }
    }
    return ask;
  }
  Ask refresh() {
    Ask ask;
    ask.method = Method::kRefresh;
    ask.lifetime = any_lifetime();
    if (chance(30)) ask.family = one_of<std::uint8_t>({1, 2, 3});
    return ask;
  }
  Ask create_permission() {
    Ask ask;
    ask.method = Method::kCreatePermission;
    for (std::uint32_t i = chance(5) ? 0 : 1 + below(3); i > 0; --i) ask.peers.push_back(any_peer());
    return ask;
  }
  Ask channel_bind() {
    Ask ask;
    ask.method = Method::kChannelBind;
    ask.channel = static_cast<std::uint16_t>(0x4000 + below(6));
    if (chance(5)) ask.channel = one_of<std::uint16_t>({0, 0x3FFF, 0x7FFF, 0xFFFF});
    if (!chance(3)) ask.peers = {any_peer()};
    if (!ask.peers.empty() && chance(3)) ask.peers.front().port = 0;
    return ask;
  }

  ByteVector write(std::size_t c, const Ask& ask) {
    Client& client = *clients_[c];
    client.credentials().user = ask.user;
    client.credentials().password =
        ask.credentials == Ask::Credentials::kWrongPassword ? "guess" : kPasswords.at(ask.user);
    client.credentials().style = one_of<conformance::Style>({conformance::Style::kLegacy, conformance::Style::kSha256});
    return conformance::make_message(
        Class::kRequest, ask.method,
        [&](stun::Builder& m) {
          if (ask.method == Method::kAllocate && ask.transport) m.requested_transport(*ask.transport);
          if (ask.lifetime) m.u32(Attr::kLifetime, *ask.lifetime);
          if (ask.even_port) m.even_port(*ask.even_port);
          if (ask.token) m.u64(Attr::kReservationToken, *ask.token);
          if (ask.family) m.u32(Attr::kRequestedAddressFamily, std::uint32_t{*ask.family} << 24);
          if (ask.additional_family) m.address_family(Attr::kAdditionalAddressFamily, Family::kIPv6);
          if (ask.method == Method::kChannelBind) m.channel_number(ask.channel);
          for (const Address& peer : ask.peers) m.xor_address(Attr::kXorPeerAddress, peer);
          if (ask.unknown_attribute) m.flag(Attr{0x7fff});
          if (ask.credentials != Ask::Credentials::kNone) client.sign(m);
        },
        ask.id);
  }

  void request(std::size_t c, Ask ask) {
    ask.id = conformance::next_transaction_id();
    ask.user = chance(90) ? users_[c % 2] : users_[(c + 1) % 2];
    if (chance(4)) ask.credentials = Ask::Credentials::kNone;
    if (chance(4)) ask.credentials = Ask::Credentials::kWrongPassword;
    ask.unknown_attribute = chance(3);
    ask.nonce_issued = nonce_issued_[c];
    const Sent sent{c, ask, write(c, ask)};
    deliver(sent);
    if (chance(20)) deliver(sent);
    history_.push_back(sent);
  }

  struct Sent {
    std::size_t client;
    Ask ask;
    ByteVector bytes;
  };

  // The engine's answer to a request must be the model's.
  void deliver(const Sent& sent) {
    settle();  // quotas count what is not swept yet
    Client& client = *clients_[sent.client];
    const Verdict verdict = model_.judge(client.local(), sent.ask, harness_.now());
    const Answer answer = client.exchange(sent.bytes);
    ASSERT_TRUE(answer.arrived());
    ASSERT_EQ(answer.error(), verdict.error) << stun::method_name(sent.ask.method) << ", " << answer;
    if (verdict.lifetime) {
      EXPECT_EQ(answer.lifetime(), *verdict.lifetime);
    }
    EXPECT_EQ(answer.relayed_addresses().size(), static_cast<std::size_t>(verdict.relayed));
    if (answer.error() == 401 || answer.error() == 438) {
      client.challenge().nonce = answer.text(Attr::kNonce);
      nonce_issued_[sent.client] = harness_.now().wall;
    }
    if (answer.ok() && sent.ask.method == Method::kAllocate) {
      const auto token = answer.u64(Attr::kReservationToken);
      EXPECT_EQ(token.has_value(), sent.ask.even_port.value_or(false));
      if (token) tokens_.push_back(*token);
      model_.learn(client.local(), answer.relayed_addresses(), token, harness_.now());
    }
  }

  // The network delivers something old once more.
  void repeat() {
    if (history_.empty()) return;
    const auto size = static_cast<std::uint32_t>(history_.size());
    deliver(Sent(history_[size - 1 - below(chance(70) ? std::min<std::uint32_t>(size, 20) : size)]));
  }

  void expect_at_peer(const std::optional<Model::Hop>& hop, const std::string& text) {
    if (!hop) return;  // check_quiet() sees whatever came
    const auto peer = std::find_if(peers_.begin(), peers_.end(), [&](const auto& p) { return p->local() == hop->to; });
    if (peer == peers_.end()) return;
    const auto got = (*peer)->poll();
    ASSERT_TRUE(got) << "nothing came to " << hop->to.to_string();
    EXPECT_EQ(got->text(), text);
    EXPECT_EQ(got->from, hop->from);
  }

  void send(std::size_t c) {
    const Address peer = any_peer();
    const std::string text(below(20), 'a');
    clients_[c]->send(peer, text);
    expect_at_peer(model_.send(clients_[c]->local(), peer, harness_.now().mono), text);
  }

  void channel_data(std::size_t c) {
    const auto channel = static_cast<std::uint16_t>(0x4000 + below(6));
    const std::string text(below(20), 'b');
    clients_[c]->send_channel(channel, text);
    expect_at_peer(model_.channel_data(clients_[c]->local(), channel, harness_.now().mono), text);
  }

  void peer_data() {
    const std::vector<Address> relayed = model_.relayed_addresses();
    if (relayed.empty()) return;
    // Mostly to the newest ones, which are likely to live.
    const auto size = static_cast<std::uint32_t>(relayed.size());
    const Address& to = relayed[size - 1 - below(std::min<std::uint32_t>(size, 10))];
    Socket& peer = *peers_[below(static_cast<std::uint32_t>(peers_.size()))];
    if (peer.local().family() != to.family()) return;
    const std::string text(below(20), 'c');
    peer.send(to, text);
    const auto heard = model_.peer_data(peer.local(), to, harness_.now().mono);
    if (!heard) return;
    for (const auto& client : clients_) {
      if (client->local() != heard->client) continue;
      const auto data = client->receive_data();
      ASSERT_TRUE(data);
      EXPECT_EQ(data->text, text);
      EXPECT_EQ(data->channel.value_or(0), heard->channel);
      if (heard->channel == 0) {
        EXPECT_EQ(data->peer, peer.local());
      }
    }
  }

  // What is no valid message has no effect: random bytes, and signed requests with a bit flipped.
  void noise(std::size_t c) {
    ByteVector bytes;
    if (history_.empty() || chance(30)) {
      bytes.resize(below(60));
      for (std::byte& b : bytes) b = static_cast<std::byte>(below(256));
      if (bytes.size() >= 20 && chance(70)) {
        store_be16(bytes.data(), static_cast<std::uint16_t>(below(0x20)));
        store_be16(bytes.data() + 2, static_cast<std::uint16_t>(bytes.size() - 20));
        store_be32(bytes.data() + 4, stun::kMagicCookie);
      }
      if (!bytes.empty() && bytes[0] >= std::byte{0x40}) bytes[0] = std::byte{0x00};
    } else {
      const Sent old = one_of(history_);
      c = old.client;
      if (old.ask.credentials == Ask::Credentials::kNone) return;
      bytes = old.bytes;
      bytes[below(static_cast<std::uint32_t>(bytes.size()))] ^= static_cast<std::byte>(1U << below(8));
    }
    settle();
    const std::size_t before = harness_.engine().allocations();
    const ByteVector answer = harness_.ask(clients_[c]->local(), bytes);
    EXPECT_EQ(harness_.engine().allocations(), before);
    if (answer.empty()) return;
    const Answer message(answer);
    const bool is_binding = message.view().method() == Method::kBinding;
    EXPECT_TRUE(is_binding || !message.ok()) << message;
    EXPECT_LE(answer.size(), std::max<std::size_t>(bytes.size() * 5, 120)) << message;
  }

  void pass_time() {
    const Duration duration = one_of<Duration>({1ns, 100ms, 1s, 10s, 29s, 30s, 41s, 100s, 299s, 300s, 301s, 600s});
    if (chance(40)) {
      harness_.advance_without_sweep(duration);  // what is over is over, swept or not
      swept_ = false;
      for (int i = 0; i < 20; ++i) traffic();
      return;
    }
    harness_.advance(duration);
    settle();
  }

  void traffic() {
    const std::size_t c = below(kClients);
    switch (below(3)) {
      case 0:
        return send(c);
      case 1:
        return channel_data(c);
      default:
        return peer_data();
    }
  }

  void settle() {
    harness_.sweep_all();
    swept_ = true;
  }

  std::mt19937_64 dice_;
  bool swept_ = true;
  EngineHarness harness_;
  Model model_;
  const std::vector<std::string> users_ = {"alice", "bob"};
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<WallTime> nonce_issued_;
  std::vector<std::unique_ptr<Socket>> peers_;
  std::vector<Address> peers_only_named_;
  std::vector<std::uint64_t> tokens_;
  std::vector<Sent> history_;
};

void run(std::uint64_t seed) {
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Run run(seed);
  for (int i = 0; i < kSteps && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("TURNKIT_SIM_SEED=" + std::to_string(seed) + ", step " + std::to_string(i));
    run.step();
    run.check_quiet();
  }
}

class ModelTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(ModelTest, engine_and_model_agree) { run(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, testing::Range<std::uint64_t>(1, 13));

// A new sequence each time, or the one of TURNKIT_SIM_SEED.
TEST(NewSeed, engine_and_model_agree) {
  const char* given = std::getenv("TURNKIT_SIM_SEED");
  run(given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}());
}

}  // namespace turnkit::sim
