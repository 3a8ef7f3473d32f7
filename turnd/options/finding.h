// Finding: one thing to say about a configuration, with the place that it is about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace turnkit::turnd {

// Where an option was given.
struct Place {
  std::string file;      // empty: the command line
  std::size_t line = 0;  // from 1; 0: the command line

  // "/etc/turnserver.conf:12: realm" or "--realm".
  [[nodiscard]] std::string named(const std::string& option) const {
    return file.empty() ? "--" + option : file + ":" + std::to_string(line) + ": " + option;
  }
};

struct Finding {
  enum class Kind : std::uint8_t {
    kError,    // turnd does not start
    kUnsafe,   // it starts, and somebody may do what they should not
    kIgnored,  // what was given has no effect
    kAdvice,   // it may not be what was meant
    kNote,     // worth knowing
  };
  Kind kind = Kind::kError;
  std::string text;  // whole: place and option in front where there are any
  std::string key;   // the option; empty: none
  Place place;       // of that option; without a file where it is about none
};

}  // namespace turnkit::turnd
