// What the tests of malformed and hostile input share.
#pragma once

#include "base/encoding.h"
#include "tests/conformance/fixture.h"
#include "tests/conformance/seeds.h"

namespace turnkit::conformance {

// The bytes that go with a row.
inline ByteVector seed(std::string_view id) {
  for (const Seed& row : kSeeds) {
    if (row.id == id) return *from_hex(row.hex);
  }
  ADD_FAILURE() << "no seed for " << id;
  return {};
}

class Negative : public Turn {
 protected:
  // A server without authentication, beside the one that asks for it.
  Harness& open_server() {
    if (open_ == nullptr) {
      Options open_options = options;
      open_options.authenticate = false;
      open_ = make_harness(GetParam(), open_options);
    }
    return *open_;
  }
  Client& guest() {
    guests_.push_back(std::make_unique<Client>(open_server(), Credentials{}, Address{open_server().ip(1), 0},
                                               open_server().server()));
    return *guests_.back();
  }

  // Discarded in silence, from a stranger as from a client with an allocation.
  void expect_discarded(const ByteVector& bytes) {
    EXPECT_TRUE(client().ignored(bytes));
    Client& known = allocated();
    EXPECT_TRUE(known.ignored(bytes));
    EXPECT_TRUE(succeeded(known.refresh()));
  }
  void expect_discarded(std::string_view id) { expect_discarded(seed(id)); }

  // What a stranger gets, and what a guest of an open server gets.
  void expect_errors(const ByteVector& bytes, int challenged, int open) {
    EXPECT_TRUE(failed(client().exchange(bytes), challenged));
    EXPECT_TRUE(failed(guest().exchange(bytes), open));
  }
  void expect_errors(std::string_view id, int challenged, int open) { expect_errors(seed(id), challenged, open); }

  // A signed Allocate request whose credentials `fill` writes itself.
  Answer allocate_with(Client& c, const Fill& fill) {
    return c.exchange(make_message(Class::kRequest, Method::kAllocate, [&](stun::Builder& m) {
      m.requested_transport(17);
      fill(m);
    }));
  }

 private:
  std::unique_ptr<Harness> open_;
  std::vector<std::unique_ptr<Client>> guests_;
};

}  // namespace turnkit::conformance
