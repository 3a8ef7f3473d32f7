#include "turnd/relay/relay.h"

#include "turnd/relay/worker.h"

namespace turnkit::relay {

Relay::Relay(Worker& worker, PortLease lease)
    : RelayEndpoint(lease.socket().local()), worker_(worker), lease_(std::move(lease)) {}

// What is queued for this socket leaves before it closes.
Relay::~Relay() {
  worker_.flush_sends();
  if (watch_) worker_.remove_relay(*this);
}

void Relay::attach(engine::Allocation& owner) {
  RelayEndpoint::attach(owner);
  watch_.emplace(worker_.loop(), socket().fd(), *this);
  worker_.add_relay(*this);
}

void Relay::on_readable() { worker_.on_relay_readable(*this); }

}  // namespace turnkit::relay
