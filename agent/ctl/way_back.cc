#include "agent/ctl/way_back.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "agent/ctl/session_commands.h"
#include "agent/program.h"
#include "agent/setup/activation_record.h"
#include "agent/setup/host_services.h"
#include "core/edge/files.h"
#include "core/json.h"
#include "core/values/text.h"
#include "host/paths.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxPublishedBytes = 4096;

std::string published(const Layout& layout) {
  return layout.at(paths::kRunDir) + "/activation.json";
}

std::string words_of(const Wanted& wanted) {
  return std::string(to_string(wanted.mode)) + (wanted.sudo ? ", with sudo" : "");
}

int way_back_failed(const Layout& layout, const std::string& why) {
  report(layout,
         EventRecord(Event::activation_way_back_failed, "The way back of hallpass failed: " + why).with("WHY", why));
  return complain(why + ". It is tried again in a minute");
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "; ") + line;
  return text;
}

int finish_ending(const Layout& layout) {
  std::vector<std::string> told;
  if (const Status done = deactivate(layout, told); !done) return way_back_failed(layout, done.error().message);
  const Status reloaded = reload_or_restart(layout);
  publish_activation(layout);
  report(layout,
         EventRecord(Event::activation_ended, "hallpass was switched off: an interrupted `disable` was finished")
             .with("WHY", joined(told)));
  return reloaded ? kFine : way_back_failed(layout, reloaded.error().message);
}

Json member(const Json& object, std::string_view name) {
  const Json* found = object.find(name);
  return found == nullptr ? Json() : *found;
}

Wanted read_wanted(const Json& json) {
  Wanted wanted;
  const Json mode = member(json, "mode"), sudo = member(json, "sudo");
  for (const Mode known : {Mode::observe, Mode::enforce})
    if (mode.as_string() != nullptr && *mode.as_string() == to_string(known)) wanted.mode = known;
  wanted.sudo = sudo.as_bool() != nullptr && *sudo.as_bool();
  return wanted;
}

UnixTime read_moment(const Json& json, std::string_view name) {
  const Json text = member(json, name);
  const Result<UnixTime> time = parse_time(text.as_string() == nullptr ? "" : *text.as_string());
  return time ? *time : UnixTime{};
}

// What read `state` before it had the lock may have come late: somebody has confirmed it meanwhile.
bool was_confirmed(const Layout& layout, const ActivationState& state) {
  const Result<ActivationState> now = read_activation(layout);
  return now && !now->pending && now->since_boot_ms == state.since_boot_ms && now->since == state.since;
}

bool must_go_back(const Layout& layout, const ActivationState& state) {
  return way_back_due(state) || (activation_interrupted(layout) && EnableTurn(layout).taken());
}

}  // namespace

EnableTurn::EnableTurn(const Layout& layout)
    : fd_(open(layout.at(paths::kStateDir).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (fd_ >= 0) taken_ = flock(fd_, LOCK_EX | LOCK_NB) == 0;
}
EnableTurn::~EnableTurn() {
  if (fd_ >= 0) close(fd_);
}

Status reload_or_restart(const Layout& layout) {
  const Status reloaded = reload_services(layout);
  if (reloaded || !layout.root.empty()) return reloaded;
  // Somebody's mistake in sshd's files: the sshd that runs is the last that does, until it is corrected.
  if (const Status fit = sshd_would_start(); !fit) return fit;
  for (const char* unit : {"ssh.service", "sshd.service"}) {
    const ProgramEnd end = run_program(
        {{"/usr/bin/systemctl", "--job-mode=ignore-dependencies", "try-restart", unit}, {}}, std::chrono::seconds{30});
    if (end.exited && end.status == 0) return Unit{};
  }
  return reloaded;
}

int run_way_back(const Layout& layout, const std::string& because) {
  const bool now = !because.empty();
  if (layout.root.empty() && geteuid() != 0) return complain("this is for root: put sudo before it");
  if (is_ending(layout)) return finish_ending(layout);
  const Result<ActivationState> state = read_activation(layout);
  if (!state) return way_back_failed(layout, state.error().message);
  if (state->pending && !now && !must_go_back(layout, *state)) {
    std::printf("Not yet: %s\n", format_time(state->deadline).c_str());
    const Status armed = keep_way_back(layout);
    return armed ? kFine : way_back_failed(layout, armed.error().message);
  }
  std::vector<std::string> told;
  if (const Status back = go_back(layout, told); !back) return way_back_failed(layout, back.error().message);
  if (!state->pending || was_confirmed(layout, *state)) {
    publish_activation(layout);
    return kFine;
  }
  const Status reloaded = reload_or_restart(layout);
  if (now) (void)keep_way_back(layout);
  publish_activation(layout);
  const std::string why = now ? because : state->other_boot ? "this host was booted" : "nobody confirmed it in time";
  const std::string what =
      "hallpass on this host went back from " + words_of(state->now) + " to " + words_of(state->before) + ": " + why;
  report(layout, EventRecord(Event::activation_went_back, what)
                     .with("WHY", words_of(state->now) + " -> " + words_of(state->before) +
                                      (now ? ": " + because : "") + (told.empty() ? "" : "; " + joined(told))));
  for (const std::string& line : told) std::printf("%s\n", line.c_str());
  if (!now) tell_terminals(layout, what + ".");
  return reloaded ? kFine : way_back_failed(layout, "the files are back, but " + reloaded.error().message);
}

void report(const Layout& layout, const EventRecord& event) {
  if (layout.root.empty()) (void)send_event(event);
}

std::string ended_words(const std::vector<std::string>& told) {
  std::ifstream file("/proc/self/loginuid");
  unsigned uid = 0;
  std::string who = "root";
  if (file >> uid && uid != 0xffffffffU) {
    const passwd* entry = getpwuid(uid);
    who = entry != nullptr ? entry->pw_name : std::to_string(uid);
  }
  return "by " + printable(who, 40) + (told.empty() ? "" : "; " + joined(told));
}

void publish_activation(const Layout& layout) {
  const Result<ActivationState> state = read_activation(layout);
  if (!state) return;
  mkdir(layout.at(paths::kRunDir).c_str(), 0755);
  (void)write_file_durably(published(layout), activation_json(*state), 0644);
}

Result<ActivationState> read_activation_or_published(const Layout& layout) {
  Result<ActivationState> state = read_activation(layout);
  if (state && geteuid() == 0) return state;
  const Result<std::string> text = read_file(AT_FDCWD, published(layout), kMaxPublishedBytes);
  const Result<Json> json = text ? parse_json(*text) : text.error();
  // Whoever may not read the record learns it from what is published at each change and each boot: nothing, nothing
  // yet.
  if (!text && !state && text.error().code == Errc::not_found) return ActivationState{};
  if (!json) return state;
  ActivationState shown;
  shown.now = read_wanted(*json);
  const Json pending = member(*json, "pending");
  shown.pending = pending.as_bool() != nullptr && *pending.as_bool();
  shown.before = read_wanted(member(*json, "before"));
  shown.since = read_moment(*json, "since");
  shown.deadline = read_moment(*json, "deadline");
  return shown;
}

}  // namespace hallpass
