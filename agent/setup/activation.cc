#include "agent/setup/activation.h"

#include <algorithm>
#include <ctime>

#include "agent/setup/activation_record.h"
#include "agent/setup/host_files.h"
#include "agent/setup/pam_stack.h"
#include "agent/setup/sudo_conf.h"
#include "agent/setup/targets.h"
#include "agent/setup/text_diff.h"
#include "core/json.h"
#include "host/clock.h"

namespace hallpass {
namespace {

std::int64_t boot_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

// systemd's timer may come a moment early.
constexpr std::int64_t kEarly_ms = 1500;

std::string words_of_mode(const std::optional<FileContent>& content) {
  return content ? "" : " (there is none)";
}

std::string attributes(const FileChange& change) {
  if (!change.before || !change.after || change.before->mode == change.after->mode) return "";
  return "mode of " + change.path + " changes\n";
}

Json wanted_json(const Wanted& wanted) {
  return JsonObject{{"mode", to_string(wanted.mode)}, {"sudo", wanted.sudo}};
}

bool loosens(const Layout& layout, const Wanted& wanted) {
  const auto pam = read_target(layout, std::string(targets::kPam));
  if (!pam || !*pam || wanted.mode == Mode::enforce) return false;
  const PamLines lines = pam_lines_in((*pam)->bytes);
  return lines.count > 0 && !lines.observe;
}

// A host that was set up by hand, or never.
Result<ActivationState> state_by_files(const Layout& layout) {
  ActivationState state;
  const auto pam = read_target(layout, std::string(targets::kPam));
  if (pam && *pam) {
    const PamLines lines = pam_lines_in((*pam)->bytes);
    state.now.mode = lines.count == 0 ? Mode::off : lines.observe ? Mode::observe : Mode::enforce;
  }
  const auto sudo = read_target(layout, std::string(targets::kSudo));
  state.now.sudo = sudo && *sudo && has_sudo_lines((*sudo)->bytes);
  return state;
}

}  // namespace

std::string_view to_string(Mode mode) {
  switch (mode) {
    case Mode::observe:
      return "observe";
    case Mode::enforce:
      return "enforce";
    case Mode::off:
      break;
  }
  return "off";
}

Result<Changes> plan_changes(const Layout& layout, const Wanted& wanted) {
  Changes changes;
  for (const std::string& path : target_paths()) {
    FileChange change{path, std::nullopt, std::nullopt};
    Result<std::optional<FileContent>> now = read_target(layout, path);
    if (!now) return now.error();
    change.before = std::move(*now);
    Result<std::optional<FileContent>> then = wanted_content(layout, path, change.before, wanted);
    if (!then) return then.error();
    change.after = std::move(*then);
    if (!same_content(change.before, change.after)) changes.push_back(std::move(change));
  }
  if (loosens(layout, wanted)) std::reverse(changes.begin(), changes.end());
  return changes;
}

std::string show_changes(const Changes& changes) {
  std::string text;
  for (const FileChange& change : changes) {
    text += unified_diff(change.before ? change.before->bytes : "", change.after ? change.after->bytes : "",
                         change.path + words_of_mode(change.before), change.path + words_of_mode(change.after));
    text += attributes(change);
  }
  return text;
}

Result<ActivationState> read_activation(const Layout& layout) {
  const Result<ActivationRecord> record = read_record(layout);
  if (!record) return record.error().code == Errc::not_found ? state_by_files(layout) : record.error();
  ActivationState state = record->state;
  const ClockReading clock = read_clock();
  state.other_boot = record->boot_id != std::string(clock.boot_id.data(), clock.boot_id.size());
  return state;
}

bool way_back_due(const ActivationState& state) {
  return state.pending && (state.other_boot || boot_ms() >= state.deadline_boot_ms - kEarly_ms);
}

bool activation_interrupted(const Layout& layout) {
  const Result<ActivationRecord> record = read_record(layout);
  return is_ending(layout) || (record && record->state.pending && record->state.done_boot_ms == 0);
}

std::string activation_json(const ActivationState& state) {
  const auto time_or_null = [](bool known, UnixTime t) { return known ? Json(format_time(t)) : Json(); };
  return to_json(JsonObject{{"mode", to_string(state.now.mode)},
                            {"sudo", state.now.sudo},
                            {"pending", state.pending},
                            {"deadline", time_or_null(state.pending, state.deadline)},
                            {"since", time_or_null(to_unix(state.since) != 0, state.since)},
                            {"before", state.pending ? wanted_json(state.before) : Json()}}) +
         "\n";
}

}  // namespace hallpass
