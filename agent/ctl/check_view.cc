#include "agent/ctl/check_view.h"

#include <algorithm>
#include <array>

#include "core/json.h"

namespace hallpass {
namespace {

constexpr std::array<Severity, 3> kSeverities = {Severity::error, Severity::warning, Severity::note};

std::int64_t count_of(const CheckReport& report, Severity severity) {
  return std::count_if(report.findings.begin(), report.findings.end(),
                       [&](const Finding& f) { return f.severity == severity; });
}

const char* paint_of(Severity severity) {
  return severity == Severity::error ? "\033[31m" : severity == Severity::warning ? "\033[33m" : "\033[36m";
}

std::string mode_words(Mode mode) {
  return mode == Mode::enforce ? "enforcing" : mode == Mode::observe ? "observing" : "off";
}

}  // namespace

std::string check_lines(const CheckReport& report, bool colour) {
  std::string text;
  for (const Finding& f : report.findings) {
    std::string severity(to_string(f.severity));
    const std::string indent(9, ' ');
    severity.resize(std::max(severity.size(), indent.size()), ' ');
    text += (colour ? paint_of(f.severity) + severity + "\033[0m" : severity) + f.code + "  " + f.where + ": " +
            f.what + "\n" + indent + "cure: " + f.cure + "\n";
  }
  const std::string host = (report.host.empty() ? "this host" : report.host) + " (" + mode_words(report.mode) + "): ";
  if (report.findings.empty()) return host + "nothing found\n";
  std::string counts;
  for (const Severity severity : kSeverities) {
    const std::int64_t count = count_of(report, severity);
    if (count == 0) continue;
    counts += (counts.empty() ? "" : ", ") + std::to_string(count) + " " + std::string(to_string(severity)) +
              (count == 1 ? "" : "s");
  }
  return text + host + counts + "\n";
}

std::string check_json(const CheckReport& report) {
  JsonArray findings;
  for (const Finding& f : report.findings)
    findings.emplace_back(JsonObject{{"severity", Json(to_string(f.severity))},
                                     {"code", Json(f.code)},
                                     {"where", Json(f.where)},
                                     {"what", Json(f.what)},
                                     {"cure", Json(f.cure)}});
  return to_pretty_json(Json(JsonObject{{"hallpass", Json("check/1")},
                                        {"host", report.host.empty() ? Json() : Json(report.host)},
                                        {"mode", Json(to_string(report.mode))},
                                        {"errors", Json(count_of(report, Severity::error))},
                                        {"warnings", Json(count_of(report, Severity::warning))},
                                        {"notes", Json(count_of(report, Severity::note))},
                                        {"findings", Json(std::move(findings))}}));
}

int check_code(const CheckReport& report) {
  if (count_of(report, Severity::error) > 0) return 2;
  return count_of(report, Severity::warning) > 0 ? 1 : 0;
}

}  // namespace hallpass
