// parse_rest_name on any text: what it reads is what stands at one end of the name.
#include <string>

#include "auth/credentials.h"
#include "fuzz.h"

using namespace turnkit;
using namespace turnkit::fuzz;

namespace {

bool is_number_of(std::string_view text, std::int64_t value) {
  const std::size_t digits = text.find_first_not_of('0');
  return (digits == std::string_view::npos ? "0" : text.substr(digits)) == std::to_string(value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const char separator = static_cast<char>(data[0]);
  const std::string user(data + 1, data + size);
  const auto name = auth::parse_rest_name(user, separator);
  if (name) {
    const std::int64_t time = name->expiry.time_since_epoch().count();
    require(time >= 0, "no time is negative");
    const std::string_view text = user;
    const std::string_view id = name->id;
    const bool first = text.ends_with(id) && text.size() > id.size() &&
                       text[text.size() - id.size() - 1] == separator &&
                       is_number_of(text.substr(0, text.size() - id.size() - 1), time);
    const bool last = text.starts_with(id) && text.size() > id.size() && text[id.size()] == separator &&
                      is_number_of(text.substr(id.size() + 1), time);
    require(first || last || (id.empty() && is_number_of(text, time)),
            "the time stands at one end, the id at the other");
  }
  return 0;
}
