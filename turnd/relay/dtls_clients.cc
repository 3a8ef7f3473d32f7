#include "turnd/relay/dtls_clients.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "turnd/relay/listener.h"
#include "turnd/relay/worker.h"

namespace turnkit::relay {

using engine::Drop;
using engine::FiveTuple;
using State = net::DtlsSession::State;

namespace {

// Where the client's random begins in a ClientHello: behind the record's and the message's headers and the version.
constexpr std::size_t kHelloRandom = 13 + 12 + 2;

}  // namespace

void DtlsClient::send(const FiveTuple&, Bytes head, Bytes payload, std::uint8_t tos) {
  owner_.send_record(*this, head, payload, tos);
}

DtlsClients::DtlsClients(Worker& worker, std::shared_ptr<ConnectionCounts> counts)
    : worker_(worker),
      counts_(std::move(counts)),
      config_(std::make_shared<const StreamConfig>()),
      join_(new std::byte[kMaxPlaintext]) {}

DtlsClients::~DtlsClients() = default;

void DtlsClients::set_config(std::shared_ptr<const StreamConfig> config) {
  config_ = std::move(config);
  if (config_->tls == nullptr || !config_->serve_dtls) {
    gate_.reset();  // associations that exist go on
  } else if (gate_) {
    gate_->set_context(config_->tls);
  } else {
    gate_ = std::make_unique<net::DtlsGate>(config_->tls);
  }
}

// From clients.

void DtlsClients::on_datagram(Listener& listener, const FiveTuple& udp_tuple, Bytes datagram, std::uint8_t tos) {
  FiveTuple tuple = udp_tuple;
  tuple.transport = engine::Transport::kDtls;
  const auto it = clients_.find(tuple);
  const std::uint64_t hello = net::DtlsGate::is_client_hello(datagram) ? load_be64(datagram.data() + kHelloRandom) : 0;
  // RFC 6347, section 4.2.8: another ClientHello is a client that has started anew. It replaces the association only
  // after its cookie has proved the address.
  if (it != clients_.end() && (hello == 0 || hello == it->second->hello_)) return on_client(*it->second, datagram, tos);
  if (hello == 0 || !enabled()) return worker_.drop(Drop::kNotTurn);
  on_stranger(listener, tuple, datagram, hello);
}

void DtlsClients::on_stranger(Listener& listener, const FiveTuple& tuple, Bytes datagram, std::uint64_t hello) {
  if (handshakes_ >= kHandshakesPerTurn) return worker_.drop(Drop::kTooManyHandshakes);
  auto session = gate_->receive(datagram, tuple.client, tuple.server, out_, worker_.loop().now().mono);
  send_all(listener, tuple);
  if (!session) return;
  ++handshakes_;
  if (const auto old = clients_.find(tuple); old != clients_.end())
    end(*old->second, "DTLS association replaced", false);
  ConnectionTicket ticket;
  if (!make_room(tuple.client.ip, ticket)) return worker_.drop(Drop::kTooManyConnections);
  auto client = std::make_unique<DtlsClient>(*this, listener, tuple);
  client->session_ = std::move(session);
  client->ticket_ = std::move(ticket);
  client->hello_ = hello;
  DtlsClient& entered = *client;
  clients_.emplace(tuple, std::move(client));
  move_to(handshaking_, entered);
  if (const auto timeout = entered.session_->next_timeout()) entered.next_timeout_ = entered.since_ + *timeout;
}

void DtlsClients::on_client(DtlsClient& client, Bytes datagram, std::uint8_t tos) {
  MutableBytes space = worker_.read_space(datagram.size());
  std::size_t used = 0;
  messages_.clear();
  const State state = client.session_->receive(datagram, out_, [&](MutableBytes plaintext) {
    if (plaintext.size() > space.size() - used) return;  // never: plaintext is shorter than its record
    const MutableBytes kept = space.subspan(used, plaintext.size());
    std::memcpy(kept.data(), plaintext.data(), plaintext.size());
    used += plaintext.size();
    messages_.push_back(kept);
  });
  worker_.keep_read(used);
  send_all(client.listener_, client.tuple_);
  if (client.list_ == &handshaking_) {
    if (state == State::kEstablished) {
      move_to(unallocated_, client);
    } else if (const auto timeout = client.session_->next_timeout()) {
      client.next_timeout_ = worker_.loop().now().mono + *timeout;
    }
  }
  Worker::RouteMemo memo;
  for (const Bytes message : messages_) {
    worker_.on_client_message(client, client.tuple_, message, tos, memo);
    if (client.session_ == nullptr) return forget(client);  // detached
  }
  if (state == State::kEnded) end(client, "DTLS association closed by client", true);
  if (state == State::kFailed) end(client, "DTLS failure", false);
}

// To clients.

void DtlsClients::send_all(Listener& listener, const FiveTuple& tuple) {
  for (const auto& datagram : out_) listener.send(tuple, {}, worker_.keep_until_flush(datagram), 0);
  out_.clear();
}

void DtlsClients::send_record(DtlsClient& client, Bytes head, Bytes payload, std::uint8_t tos) {
  const std::size_t size = head.size() + payload.size();
  if (size > kMaxPlaintext) return worker_.drop(Drop::kPeerTooLarge);
  Bytes plaintext = payload;
  if (!head.empty() && head.data() + head.size() == payload.data()) {
    plaintext = {head.data(), size};
  } else if (!head.empty()) {
    std::memcpy(join_.get(), head.data(), head.size());
    if (!payload.empty()) std::memcpy(join_.get() + head.size(), payload.data(), payload.size());
    plaintext = {join_.get(), size};
  }
  const Bytes datagram = client.session_->protect(plaintext);
  if (datagram.empty()) return;
  client.listener_.send(client.tuple_, {}, worker_.keep_until_flush(datagram), tos);
}

// Coming and going.

bool DtlsClients::make_room(const IpAddress& source, ConnectionTicket& ticket) {
  const StreamLimits& limits = config_->limits;
  const std::size_t half_open = std::max<std::size_t>(limits.max_half_open_dtls / workers_, 1);
  while (handshaking_.size() >= half_open) end(*handshaking_.front(), "too many DTLS handshakes", false);
  ticket = counts_->admit(source, limits.max_connections, limits.max_connections_per_ip);
  return static_cast<bool>(ticket);
}

void DtlsClients::move_to(DtlsClient::List& list, DtlsClient& client) {
  if (client.list_ == nullptr) {
    client.place_ = list.insert(list.end(), &client);
  } else {
    list.splice(list.end(), *client.list_, client.place_);
  }
  client.list_ = &list;
  client.since_ = worker_.loop().now().mono;
}

bool DtlsClients::has_allocation(const DtlsClient& client) {
  return worker_.engine().find(client.tuple_, worker_.loop().now()) != nullptr;
}

void DtlsClients::end(DtlsClient& client, std::string_view reason, bool tell) {
  log::debug("DTLS client {}: {}", log::shown(client.tuple_.client), reason);
  worker_.engine().on_path_closed(client.tuple_, reason);
  if (tell) {
    client.session_->end(out_);
    send_all(client.listener_, client.tuple_);
  }
  forget(client);
}

void DtlsClients::forget(DtlsClient& client) {
  client.list_->erase(client.place_);
  clients_.erase(FiveTuple(client.tuple_));
}

DetachedDtls DtlsClients::detach(DtlsClient& client, Bytes message, std::uint8_t tos) {
  return {std::move(client.session_),       client.tuple_,
          std::move(client.ticket_),        client.hello_,
          {message.begin(), message.end()}, tos};
}

void DtlsClients::adopt(DetachedDtls association, Listener& listener) {
  if (const auto old = clients_.find(association.tuple); old != clients_.end()) {
    end(*old->second, "DTLS association replaced", false);
  }
  auto client = std::make_unique<DtlsClient>(*this, listener, association.tuple);
  client->session_ = std::move(association.session);
  client->ticket_ = std::move(association.ticket);
  client->hello_ = association.hello;
  DtlsClient& entered = *client;
  clients_.emplace(association.tuple, std::move(client));
  move_to(unallocated_, entered);
  Worker::RouteMemo memo;
  worker_.on_client_message(entered, entered.tuple_, worker_.keep_until_flush(association.message), association.tos,
                            memo);
}

void DtlsClients::sweep() {
  const TimePoint now = worker_.loop().now().mono;
  const StreamLimits& limits = config_->limits;
  for (auto it = handshaking_.begin(); it != handshaking_.end();) {
    DtlsClient& client = **it++;
    if (client.since_ + limits.opening <= now) {
      end(client, "no DTLS handshake in time", false);
    } else if (client.next_timeout_ <= now) {
      const bool alive = client.session_->on_timer(out_);
      send_all(client.listener_, client.tuple_);
      if (!alive) {
        end(client, "no DTLS handshake in time", false);
        continue;
      }
      client.next_timeout_ = now + client.session_->next_timeout().value_or(limits.opening);
    }
  }
  while (!unallocated_.empty() && unallocated_.front()->since_ + limits.without_allocation <= now) {
    DtlsClient& client = *unallocated_.front();
    has_allocation(client) ? move_to(settled_, client) : end(client, "no allocation", true);
  }
  // A part of the settled clients: all of them in eight seconds.
  constexpr std::size_t kParts = 64;
  for (std::size_t visits = settled_.size() / kParts + 1; visits != 0 && !settled_.empty(); --visits) {
    DtlsClient& client = *settled_.front();
    move_to(has_allocation(client) ? settled_ : unallocated_, client);
  }
}

void DtlsClients::close_all() {
  for (DtlsClient::List* list : {&handshaking_, &unallocated_, &settled_}) {
    while (!list->empty()) end(*list->front(), "server is shutting down", true);
  }
}

}  // namespace turnkit::relay
