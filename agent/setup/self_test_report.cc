#include "agent/setup/self_test_report.h"

#include <cmath>

#include "core/edge/files.h"
#include "core/json.h"

namespace hallpass {
namespace {

constexpr char kTrial[] = "trial", kFault[] = "fault", kDone[] = "done", kEnd[] = "end";

void send_line(int fd, JsonObject members) {
  [[maybe_unused]] const bool sent = write_all(fd, to_json(Json(std::move(members))) + "\n");
}

std::string text_of(const Json& object, std::string_view name) {
  const Json* found = object.find(name);
  return found == nullptr || found->as_string() == nullptr ? "" : *found->as_string();
}

bool is_true(const Json& object, std::string_view name) {
  const Json* found = object.find(name);
  return found != nullptr && found->as_bool() != nullptr && *found->as_bool();
}

}  // namespace

void report_trial(int fd, const Trial& trial) {
  const auto milliseconds = static_cast<std::int64_t>(std::llround(trial.seconds * 1000));
  send_line(fd, {{kTrial, trial.name},
                 {"passed", trial.passed},
                 {"skipped", trial.skipped},
                 {"detail", trial.detail},
                 {"ms", milliseconds}});
}

void report_fault(int fd, const std::string& fault) {
  send_line(fd, {{kFault, fault}});
}

void report_done(int fd) {
  send_line(fd, {{kDone, true}});
}

void report_end(int fd) {
  send_line(fd, {{kEnd, true}});
}

void ReportReader::take(std::string_view bytes) {
  rest_ += bytes;
  for (auto end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n')) {
    line(rest_.substr(0, end));
    rest_.erase(0, end + 1);
  }
}

void ReportReader::line(std::string_view text) {
  const Result<Json> said = parse_json(text);
  if (!said) {
    if (fault_.empty()) fault_ = "the self-test's own report cannot be read: " + said.error().message;
    return;
  }
  if (said->find(kFault) != nullptr && fault_.empty()) fault_ = text_of(*said, kFault);
  if (said->find(kDone) != nullptr) done_ = true;
  if (said->find(kEnd) != nullptr) ended_ = true;
  if (said->find(kTrial) == nullptr) return;
  const Json* ms = said->find("ms");
  const std::int64_t milliseconds = ms == nullptr || ms->as_int() == nullptr ? 0 : *ms->as_int();
  trials_.push_back({text_of(*said, kTrial), is_true(*said, "passed"), is_true(*said, "skipped"),
                     text_of(*said, "detail"), static_cast<double>(milliseconds) / 1000});
  if (told_) told_(trials_.back());
}

Result<std::vector<Trial>> ReportReader::finish() const {
  if (!fault_.empty()) return Error{Errc::unavailable, fault_};
  if (ended_ && !done_)
    return Error{Errc::unavailable, "the self-test did not end in time; is this host very busy? Try again"};
  if (!ended_)
    return Error{Errc::unavailable,
                 "the self-test was ended from outside; `hallpass host self-test` again removes what it left"};
  return trials_;
}

}  // namespace hallpass
