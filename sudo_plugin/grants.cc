#include "sudo_plugin/grants.h"

#include <algorithm>

namespace hallpass {
namespace {

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

std::string last_component(std::string_view path) {
  return std::string(path.substr(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1));
}

// A later version of hallpass may know more; what this one does not know covers nothing.
bool is_known(const Command& c) {
  return c.kind <= Command::Kind::edit && c.subcommands <= Subcommands::check && !c.as_user.empty();
}

// How many arguments fit their tokens, from the first on, whatever comes after them.
std::size_t leading_fits(const ArgumentPattern& pattern, const std::vector<std::string_view>& arguments,
                         const Files& files) {
  std::size_t n = 0;
  while (n < std::min(pattern.tokens.size(), arguments.size()) &&
         match_arguments(ArgumentPattern{{pattern.tokens[n]}}, {&arguments[n], 1}, files)) {
    ++n;
  }
  return n;
}

Cover cover_of(const AdmissionView& a, Command command) {
  Cover cover;
  cover.grant = a.grant;
  cover.id = a.id;
  cover.runbook = a.runbook;
  cover.reason = a.reason;
  cover.ticket = a.ticket;
  cover.approvers.assign(a.approvers.begin(), a.approvers.end());
  cover.end = a.end;
  if (command.subcommands == Subcommands::check) {
    for (std::size_t i = 0; i < a.commands.size(); ++i) cover.others.push_back(a.commands.at(i));
  }
  cover.command = std::move(command);
  return cover;
}

}  // namespace

int grants_of(const SnapshotReader& store, const Session& session, UnixTime now, const EachGrant& each) {
  return store.admissions(session.account, [&](const AdmissionView& a) {
    const bool counts = a.subject == session.subject && (a.personal || a.shared_sudo) && a.start <= now && now < a.end;
    return !counts || each(a);
  });
}

std::optional<UnixTime> deciding_time(const SnapshotReader& store, const ClockReading& clock) {
  const SnapshotMeta& meta = store.meta();
  if (meta.strict_clock && !clock.synchronised && !same_boot(clock, meta.floor)) return std::nullopt;
  return effective_now(clock, meta.floor);
}

bool Miss::nearer_than(const Miss& other) const {
  if (what != other.what) return what > other.what;
  if (what != What::argument) return false;
  return fits != other.fits ? fits > other.fits : !count && other.count;
}

Matcher::Matcher(const Wish& wish, const Session& session, const Abilities& abilities, const Files& files)
    : wish_(wish), session_(session), abilities_(abilities), files_(files), name_(last_component(wish.typed)) {}

bool Matcher::covers(const Command& command, Miss& miss) const {
  if (!is_known(command)) return false;
  const bool fits = wish_.mode == Wish::Mode::edit   ? covers_edit(command, miss)
                    : wish_.mode == Wish::Mode::none ? false
                                                     : covers_run(command, miss);
  if (!fits) return false;
  // Nearest of all: the command is right, and something about the way it is to be run is not.
  const bool passes = std::all_of(wish_.environment.begin(), wish_.environment.end(),
                                  [&](const std::string& name) { return contains(command.env_keep, name); });
  if (!passes) miss.what = Miss::What::environment;
  if (command.as_group != wish_.group) miss.what = Miss::What::group;
  if (command.as_user != wish_.user) miss.what = Miss::What::user;
  if (command.subcommands == Subcommands::check && !abilities_.intercept) miss.what = Miss::What::ability;
  return miss.what == Miss::What::nothing;
}

// Exactly, or as the same file by the same name: /bin/sh where /bin is a link to /usr/bin. The name counts, because
// programs of many names go by it.
bool Matcher::names_program(const Command& command) const {
  const bool winding = wish_.program.find("/.") != std::string::npos || wish_.program.find("//") != std::string::npos;
  return std::any_of(command.executables.begin(), command.executables.end(), [&](const std::string& path) {
    return path == wish_.program ||
           (!winding && last_component(path) == last_component(wish_.program) && files_.is_same(path, wish_.program));
  });
}

bool Matcher::covers_run(const Command& command, Miss& miss) const {
  if (command.kind == Command::Kind::any) return true;
  if (command.kind == Command::Kind::shell) {
    return wish_.program.empty() ? wish_.mode == Wish::Mode::shell
                                 : contains(shells_of(command.as_user, session_.uid), wish_.program);
  }
  if (command.kind != Command::Kind::run || wish_.mode != Wish::Mode::run) {
    if (command.kind == Command::Kind::run && wish_.mode == Wish::Mode::shell) miss.what = Miss::What::kind;
    return false;
  }
  const bool named = names_program(command);
  const bool nearly = std::any_of(command.executables.begin(), command.executables.end(),
                                  [&](const std::string& path) { return last_component(path) == name_; });
  if (!named && !nearly) return false;
  const Result<ArgumentPattern> pattern = parse_arguments(command.arguments);
  if (!pattern) return false;
  MatchFailure failure;
  if (!match_arguments(*pattern, wish_.arguments, files_, &failure)) {
    miss.what = Miss::What::argument;
    miss.index = failure.index;
    miss.count = failure.what == MatchFailure::What::count;
    miss.fits = leading_fits(*pattern, wish_.arguments, files_);
    return false;
  }
  miss.changeable = named ? files_.wrong_on_the_way(wish_.program, command.as_user) : "";
  miss.what = !named ? Miss::What::program : miss.changeable.empty() ? Miss::What::nothing : Miss::What::changeable;
  return miss.what == Miss::What::nothing;
}

bool Matcher::covers_edit(const Command& command, Miss& miss) const {
  if (command.kind == Command::Kind::any) return true;
  if (command.kind != Command::Kind::edit || wish_.arguments.empty()) return false;
  for (std::size_t i = 0; i < wish_.arguments.size(); ++i) {
    const std::string_view file[] = {wish_.arguments[i]};
    const bool fits = std::any_of(command.arguments.begin(), command.arguments.end(), [&](const std::string& token) {
      const Result<ArgumentPattern> pattern = parse_arguments({&token, 1});
      return pattern && match_arguments(*pattern, file, files_);
    });
    if (fits) continue;
    miss.what = Miss::What::argument;
    miss.index = miss.fits = i;
    return false;
  }
  return true;
}

bool Matcher::worth_a_look(const CommandList& commands, std::size_t i) const {
  return wish_.mode != Wish::Mode::run || commands.may_name(i, name_);
}

void Matcher::look_at(const AdmissionView& grant, Search& search) const {
  if (wish_.mode == Wish::Mode::none) return;
  for (std::size_t i = 0; i < grant.commands.size(); ++i) {
    if (!worth_a_look(grant.commands, i)) continue;
    Command command = grant.commands.at(i);
    Miss miss;
    if (covers(command, miss)) {
      if (!search.cover || grant.end > search.cover->end) search.cover = cover_of(grant, std::move(command));
    } else if (miss.nearer_than(search.miss)) {
      miss.id = grant.id;
      miss.runbook = grant.runbook;
      miss.end = grant.end;
      miss.command = std::move(command);
      search.miss = std::move(miss);
    }
  }
}

Search Matcher::search(const SnapshotReader& store, UnixTime now) const {
  Search search;
  search.damaged = grants_of(store, session_, now, [&](const AdmissionView& grant) {
    ++search.grants;
    look_at(grant, search);
    return true;
  });
  return search;
}

}  // namespace hallpass
