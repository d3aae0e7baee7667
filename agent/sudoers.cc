#include "agent/sudoers.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/edge/files.h"
#include "host/sudo_defaults.h"

namespace hallpass {
namespace {

constexpr std::uint32_t kFileEvents = IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
// Not IN_CREATE: a file that is being written is not one yet.
constexpr std::uint32_t kDirectoryEvents = kFileEvents | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;

bool begins_with(std::string_view text, std::string_view head) {
  return text.substr(0, head.size()) == head;
}

bool is_rule(std::string_view line) {
  if (line.empty() || line.front() == '#') return false;
  for (const char* alias : {"User_Alias ", "Runas_Alias ", "Host_Alias ", "Cmnd_Alias ", "Cmd_Alias "}) {
    if (begins_with(line, alias)) return false;
  }
  constexpr std::string_view kDefaults = "Defaults";
  if (!begins_with(line, kDefaults) || line.size() == kDefaults.size()) return true;
  return std::string_view(" \t@:>!\\").find(line[kDefaults.size()]) == std::string_view::npos;
}

// The first thing that a program named: what follows are copies of lines, and warnings are about aliases that nothing
// uses here.
std::string complaint(const ProgramEnd& end) {
  if (!end.exited) return end.fault;
  std::string_view rest = end.errors;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (!line.empty() && !begins_with(line, "Warning:")) return std::string(line.substr(0, 300));
  }
  return "exit status " + std::to_string(end.status);
}

}  // namespace

std::optional<std::string> line_that_is_a_rule(std::string_view sudoers) {
  bool continued = false;
  while (!sudoers.empty()) {
    const std::string_view line = sudoers.substr(0, sudoers.find('\n'));
    sudoers.remove_prefix(std::min(line.size() + 1, sudoers.size()));
    if (!continued && is_rule(line)) return std::string(line);
    continued = !line.empty() && line.back() == '\\';
  }
  return std::nullopt;
}

SudoDefaults::SudoDefaults(Where where, Journal& journal)
    : where_(std::move(where)), journal_(journal), inotify_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {}

SudoDefaults::~SudoDefaults() {
  if (inotify_ >= 0) close(inotify_);
}

void SudoDefaults::read_notifications() {
  alignas(inotify_event) char buffer[4096];
  while (inotify_ >= 0 && read(inotify_, buffer, sizeof buffer) > 0) continue;
  look();
}

// By path, so after every change: what stands there now may be another file.
void SudoDefaults::watch() {
  for (const int w : watches_) inotify_rm_watch(inotify_, w);
  watches_.clear();
  for (const auto& [path, stamp] : seen_.files) {
    const auto& directories = seen_.directories;
    const bool directory = std::find(directories.begin(), directories.end(), path) != directories.end();
    const int w = inotify_add_watch(inotify_, path.c_str(), directory ? kDirectoryEvents : kFileEvents);
    if (w >= 0) watches_.push_back(w);
  }
}

void SudoDefaults::look() {
  SudoersSurvey now = survey_sudoers(where_.sudoers, where_.owner);
  for (const std::string& tool : {where_.cvtsudoers, where_.visudo}) now.files[tool] = stamp_of_file(tool);
  if (now.files != seen_.files || now.fault != seen_.fault) {
    seen_ = std::move(now);
    watch();
    changed();
  } else if (again_) {
    changed();
  } else if (state_ == State::absent || state_ == State::unusable) {
    // What could not be removed a minute ago.
    [[maybe_unused]] const std::string failed = remove_file();
  }
}

void SudoDefaults::changed() {
  again_ = false;
  outdated_ = running_;
  step_ = Step::none;
  if (seen_.files[where_.sudoers] == FileStamp{}) return without(State::absent, "there is no " + where_.sudoers);
  for (const std::string& tool : {where_.cvtsudoers, where_.visudo}) {
    if (seen_.files[tool] == FileStamp{}) return without(State::absent, "there is no " + tool);
  }
  if (!seen_.fault.empty()) return without(State::unusable, seen_.fault);
  step_ = Step::convert;
  if (state_ != State::ready && state_ != State::unusable) state_ = State::preparing;
}

std::optional<Program> SudoDefaults::next() {
  if (running_ || step_ == Step::none) return std::nullopt;
  running_ = true;
  // No configuration of cvtsudoers' own: it could ask for another format or leave things out.
  if (step_ == Step::convert)
    return Program{{where_.cvtsudoers, "-c", "/dev/null", "-f", "sudoers", "-s", "privileges", where_.sudoers}, ""};
  return Program{{where_.visudo, "-c", "-f", "-"}, text_};
}

void SudoDefaults::ended(const ProgramEnd& end) {
  running_ = false;
  if (std::exchange(outdated_, false)) return;  // sudoers has changed meanwhile: step_ says what comes now
  const Step done = std::exchange(step_, Step::none);
  if (done == Step::convert) converted(end);
  if (done == Step::check) checked(end);
}

void SudoDefaults::converted(const ProgramEnd& end) {
  if (!end.exited || end.status != 0) {
    again_ = !end.exited;
    return without(State::unusable, "cvtsudoers: " + complaint(end));
  }
  if (const auto line = line_that_is_a_rule(end.output))
    return without(State::unusable, "cvtsudoers did not leave out the rule \"" + *line + "\"");
  text_ = end.output;
  if (text_.empty()) return install();  // nothing to check: the site sets nothing
  if (text_.back() != '\n') text_ += '\n';
  step_ = Step::check;
}

void SudoDefaults::checked(const ProgramEnd& end) {
  if (end.exited && end.status == 0) return install();
  again_ = !end.exited;
  without(State::unusable, "visudo: " + complaint(end));
}

bool SudoDefaults::stands() const {
  struct stat st {};
  if (lstat(where_.defaults.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return false;
  if ((st.st_mode & 07777) != 0400 || st.st_uid != where_.owner) return false;
  const Result<std::string> text = read_file(AT_FDCWD, where_.defaults, kMaxProgramOutput);
  return text && *text == sealed_defaults(text_);
}

void SudoDefaults::install() {
  if (!stands()) {
    if (const Status written = write_file_durably(where_.defaults, sealed_defaults(text_), 0400); !written) {
      again_ = true;
      return without(State::unusable, written.error().message);
    }
    journal_.event(Event::sudoers_prepared, "sudo's Defaults and aliases were taken over from " + where_.sudoers,
                   {{"FILE", where_.defaults}});
  }
  state_ = State::ready;
  why_.clear();
  text_.clear();
}

// Empty: it is gone.
std::string SudoDefaults::remove_file() const {
  if (unlink(where_.defaults.c_str()) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    return "; and the old " + where_.defaults + " could not be removed: " + std::strerror(errno);
  }
  // So that it does not come back with a power cut.
  const std::string directory = where_.defaults.substr(0, where_.defaults.rfind('/') + 1);
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    fsync(fd);
    close(fd);
  }
  return {};
}

void SudoDefaults::without(State state, std::string why) {
  why += remove_file();
  text_.clear();
  const bool news = state != state_ || why != why_;
  state_ = state;
  why_ = std::move(why);
  if (state == State::unusable && news)
    journal_.event(Event::sudoers_unusable, "no grant gives sudo on this host: " + why_,
                   {{"WHY", why_}, {"FILE", where_.sudoers}});
}

Json SudoDefaults::status() const {
  const char* names[] = {"unknown", "absent", "preparing", "ready", "unusable"};
  return Json(
      JsonObject{{"defaults", Json(names[static_cast<int>(state_)])}, {"why", why_.empty() ? Json() : Json(why_)}});
}

}  // namespace hallpass
