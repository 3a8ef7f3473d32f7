#include "turnd/relay/listener.h"

#include "turnd/relay/worker.h"

namespace turnkit::relay {

Listener::Listener(Worker& worker, net::UdpSocket socket)
    : worker_(worker), socket_(std::move(socket)), watch_(worker.loop(), socket_.fd(), *this) {}

void Listener::on_readable() { worker_.on_listener_readable(*this); }

}  // namespace turnkit::relay
