// STUN Binding: see binding.h.
#include "client/binding.h"

#include <array>
#include <cerrno>

#include "base/encoding.h"
#include "base/random.h"
#include "client/udp_client.h"
#include "stun/attributes.h"
#include "stun/builder.h"

namespace turnkit::client {

std::optional<Bytes> binding_request(MutableBytes buffer, const stun::TransactionId& id) {
  stun::Builder builder(buffer, stun::Class::kRequest, stun::Method::kBinding, id);
  builder.fingerprint();
  return builder.finish();
}

Result<Address> read_binding_answer(const stun::MessageView& answer) {
  if (answer.is(stun::Class::kError, stun::Method::kBinding)) {
    const auto attribute = answer.find(stun::Attr::kErrorCode);
    const auto error = attribute ? stun::decode_error_code(attribute->value) : std::nullopt;
    if (!error) return Error{"The server answered the Binding request with an error that has no usable code."};
    return Error{"The server answered the Binding request with error " + std::to_string(error->code) + " (" +
                 escaped(error->reason) + ")."};
  }
  if (!answer.is(stun::Class::kSuccess, stun::Method::kBinding)) {
    return Error{"The server's answer is not an answer to a Binding request."};
  }
  if (const auto attribute = answer.find(stun::Attr::kXorMappedAddress)) {
    if (const auto address = stun::decode_xor_address(attribute->value, answer.transaction_id())) return *address;
    return Error{"The server's Binding answer has a broken XOR-MAPPED-ADDRESS."};
  }
  if (const auto attribute = answer.find(stun::Attr::kMappedAddress)) {
    if (const auto address = stun::decode_address(attribute->value)) return *address;
  }
  return Error{"The server's Binding answer holds no mapped address."};
}

Result<Address> discover_public_address(const Address& server, const DiscoverOptions& options) {
  auto socket = UdpClient::open(server, options.local);
  if (!socket) return socket.error();
  SystemRandom random;
  stun::TransactionId id;
  random.fill(id.bytes);
  std::array<std::byte, 32> buffer;
  const std::optional<Bytes> request = binding_request(buffer, id);
  std::string last_problem = "nothing came back";
  if (Status sent = socket->send(*request); !sent) return sent.error();
  Retransmission timer(options.retransmit, read_clock().mono);
  for (;;) {
    const auto received = socket->receive(timer.deadline());
    if (received.error == ECONNREFUSED) {
      return Error{"Nothing listens on UDP " + server.to_string() +
                   " (ICMP port unreachable); name a STUN server's address and port."};
    }
    if (!received.message.empty()) {
      const auto answer = stun::MessageView::parse(received.message);
      if (answer && answer->transaction_id() == id && answer->cls() != stun::Class::kRequest) {
        return read_binding_answer(*answer);
      }
      last_problem = "what came back was no answer to the request";
      continue;
    }
    switch (timer.on_time(read_clock().mono)) {
      case Retransmission::Due::kNothing:
        break;
      case Retransmission::Due::kResend:
        if (Status sent = socket->send(*request); !sent) return sent.error();
        break;
      case Retransmission::Due::kTimedOut:
        return Error{"The STUN server " + server.to_string() + " did not answer " + std::to_string(timer.sends()) +
                     " Binding requests over UDP: " + last_problem + "."};
    }
  }
}

}  // namespace turnkit::client
