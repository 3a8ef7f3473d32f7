#include "turnd/relay/listener.h"

#include "turnd/relay/worker.h"

namespace turnkit::relay {

Listener::Listener(Worker& worker, net::UdpSocket socket)
    : worker_(worker), socket_(std::move(socket)), watch_(worker.loop(), socket_.fd(), *this) {}

void Listener::send(const engine::FiveTuple& tuple, Bytes head, Bytes payload, std::uint8_t tos) {
  worker_.queue({.socket = &socket_,
                 .to = tuple.client,
                 .head = head,
                 .payload = payload,
                 .tos = tos,
                 .from = socket_.is_wildcard() ? &tuple.server.ip : nullptr});
}

void Listener::on_readable() { worker_.on_listener_readable(*this); }

}  // namespace turnkit::relay
