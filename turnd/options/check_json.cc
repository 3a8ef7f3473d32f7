// The report of --check-config as JSON. The only file of turnd's options that includes nlohmann/json, whose headers
// take seconds to compile.
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "turnd/options/check_report.h"

namespace turnkit::turnd {
namespace {

using Json = nlohmann::ordered_json;

void add_place(Json& out, const Place& place) {
  out["file"] = place.file.empty() ? Json() : Json(escaped(place.file));
  out["line"] = place.line == 0 ? Json() : Json(place.line);
}

Json setting_of(const ShownSetting& shown) {
  const Setting& setting = *shown.setting;
  Json out;
  out["key"] = setting.option->name;
  out["value"] = setting.option->secret ? Json() : Json(escaped(setting.value));
  out["secret"] = setting.option->secret;
  out["replaced"] = shown.replaced;
  add_place(out, setting.place);
  return out;
}

Json finding_of(const Finding& finding) {
  Json out;
  out["kind"] = kind_name(finding.kind);
  out["key"] = finding.key.empty() ? Json() : Json(finding.key);
  add_place(out, finding.place);
  out["text"] = finding.text;
  return out;
}

}  // namespace

std::string check_json(const Draft& draft) {
  Json out;
  out["valid"] = !draft.failed();
  out["file"] = draft.config.origin.path.empty() ? Json() : Json(escaped(draft.config.origin.path));
  out["set"] = Json::array();
  for (const ShownSetting& shown : shown_settings(draft)) out["set"].push_back(setting_of(shown));
  out["effect"] = Json::object();
  if (!draft.failed()) {
    for (const auto& [what, how] : effects(draft)) out["effect"][what] = how;
  }
  out["findings"] = Json::array();
  for (const Finding& finding : draft.findings) out["findings"].push_back(finding_of(finding));
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace turnkit::turnd
