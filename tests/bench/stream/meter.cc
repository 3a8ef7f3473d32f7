// CPU time of the server and of the generator over a span.
#include <ctime>

#include "stream_bench.h"

namespace turnkit::bench {
namespace {

Duration own_cpu() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

std::optional<probe::ServerUsage> usage_of(int pid) {
  if (pid == 0) return std::nullopt;
  const auto usage = probe::read_server_usage(pid);
  if (!usage) return std::nullopt;
  return *usage;
}

double microseconds(Duration span) { return std::chrono::duration<double, std::micro>(span).count(); }

}  // namespace

Meter::Meter(int server_pid)
    : server_pid_(server_pid), began_(read_clock().mono), server_(usage_of(server_pid)), generator_(own_cpu()) {}

Cost Meter::finish() const {
  Cost out;
  out.seconds = std::chrono::duration<double>(read_clock().mono - began_).count();
  out.generator_cpu_us = microseconds(own_cpu() - generator_);
  const auto now = usage_of(server_pid_);
  if (server_ && now) {
    out.server_cpu_us = microseconds(now->cpu - server_->cpu);
    out.server_resident = static_cast<double>(now->resident);
  }
  return out;
}

}  // namespace turnkit::bench
