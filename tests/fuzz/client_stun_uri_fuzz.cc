// Names of STUN servers: what is taken can be written down and is taken again; what is not is explained harmlessly.
#include "client/stun_uri.h"

#include <algorithm>
#include <string>

#include "fuzz.h"

using namespace turnkit;
using namespace turnkit::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Buffer buffer = input(data, size);
  const auto name = client::parse_stun_server(as_text(buffer));
  if (!name) {
    const std::string& text = name.error().text;
    require(text.size() < 1300 && std::none_of(text.begin(), text.end(), [](char c) { return c > 0 && c < 0x20; }),
            "errors are short and harmless");
    return 0;
  }
  require(!name->host.empty() && name->host.size() <= 253, "a host");
  require(!name->port || *name->port != 0, "a port");
  require(!name->secure || (name->is_uri && !name->is_address), "stuns: has a name");
  std::string again = name->secure ? "stuns:" : name->is_uri ? "stun:" : "";
  again += name->host.find(':') != std::string::npos ? "[" + name->host + "]" : name->host;
  if (name->port) again += ":" + std::to_string(*name->port);
  const auto second = client::parse_stun_server(again);
  require(second && second->host == name->host && second->port == name->port && second->secure == name->secure &&
              second->is_uri == name->is_uri && second->is_address == name->is_address,
          "it is the same again");
  return 0;
}
