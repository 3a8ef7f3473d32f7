// BinaryHarness: the real turnd on loopback. Each process of tests has addresses of its own in 127.0.0.0/8, so that
// tests run in parallel.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/conformance/harness/child.h"
#include "tests/conformance/harness/harness.h"

namespace turnkit::conformance {

class BinaryHarness final : public Harness {
 public:
  explicit BinaryHarness(const Options& options);

  [[nodiscard]] bool is_virtual() const override { return false; }
  [[nodiscard]] IpAddress ip(unsigned n) const override;
  std::unique_ptr<Socket> open(const Address& local) override;
  void advance(Duration duration) override;
  [[nodiscard]] Now now() const override { return read_clock(); }

  [[nodiscard]] Child& child() { return *child_; }

 private:
  [[nodiscard]] std::vector<std::string> command() const;
  [[nodiscard]] std::vector<std::string> extensions() const;

  std::unique_ptr<Child> child_;
};

// Starts turnd with `arguments` (and what to put before the command), waits until it serves, and returns it with the
// addresses of its listeners in `listeners`.
std::unique_ptr<Child> start_turnd(std::vector<std::string> before, std::vector<std::string> arguments,
                                   std::vector<Address>& listeners);

}  // namespace turnkit::conformance
