// Reports as JSON. The only file of the probe's reports that includes nlohmann/json, whose headers take seconds to
// compile.
#include <fmt/chrono.h>
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "probe/report.h"

namespace turnkit::probe {
namespace {

using Json = nlohmann::ordered_json;

Json value_of(const Fact& fact) {
  return std::visit([](const auto& value) { return Json(value); }, fact.value);
}

Json facts_of(const std::vector<Fact>& facts) {
  Json out = Json::object();
  for (const Fact& fact : facts) {
    Json* node = &out;
    std::string_view key = fact.key;
    for (std::size_t dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.')) {
      node = &(*node)[std::string(key.substr(0, dot))];
      key.remove_prefix(dot + 1);
    }
    (*node)[std::string(key)] = value_of(fact);
  }
  return out;
}

Json check_of(const Check& check) {
  Json out;
  out["id"] = check.id;
  out["target"] = check.target;
  out["family"] = check.family;
  out["protocol"] = check.protocol;
  out["status"] = verdict_name(check.status);
  out["confidence"] = confidence_name(check.confidence);
  out["reason"] = check.reason;
  out["headline"] = check.headline;
  out["details"] = check.details;
  out["evidence"] = facts_of(check.facts);
  out["advice"] = check.advice;
  out["next"] = check.next;
  return out;
}

}  // namespace

std::string to_json(const Report& report) {
  const Verdict status = verdict_of(report);
  Json out;
  out["tool"] = "turn-probe";
  out["version"] = TURNKIT_VERSION;
  out["command"] = report.command;
  if (!report.host.empty()) out["host"] = report.host;
  out["started"] =
      fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(report.started)));
  out["verdict"] = verdict_name(status);
  out["exit_code"] = report.exit_code.value_or(exit_code_of(status));
  out["checks"] = Json::array();
  for (const Check& check : report.checks) out["checks"].push_back(check_of(check));
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace turnkit::probe
