#include "sudo_plugin/authorise.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>

#include "sudo_plugin/path_check.h"

namespace hallpass {
namespace {

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The groups that the target user has, and the one that was asked for.
std::vector<gid_t> groups_of(const char* user, gid_t primary, gid_t asked) {
  int count = 64;
  std::vector<gid_t> groups(64);
  if (getgrouplist(user, primary, groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(std::clamp(count, 0, 65536)));
    if (getgrouplist(user, primary, groups.data(), &count) < 0) count = 0;
  }
  groups.resize(static_cast<std::size_t>(count));
  groups.push_back(asked);
  return groups;
}

bool only_these(std::string_view list, const std::vector<gid_t>& allowed) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    const auto gid = number(list.substr(0, end));
    if (!gid || std::find(allowed.begin(), allowed.end(), *gid) == allowed.end()) return false;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return true;
}

bool is(const Vector& info, std::string_view name, unsigned id, bool required) {
  const char* text = info.get(name);
  return text == nullptr ? !required : number(text) == std::optional<unsigned>(id);
}

}  // namespace

std::string runs_as_another(const Vector& info, const Command& command) {
  const passwd* user = getpwnam(command.as_user.c_str());
  if (user == nullptr) return "this host has no user " + command.as_user;
  const uid_t uid = user->pw_uid;
  const gid_t primary = user->pw_gid;
  gid_t gid = primary;
  if (!command.as_group.empty()) {
    const group* entry = getgrnam(command.as_group.c_str());
    if (entry == nullptr) return "this host has no group " + command.as_group;
    gid = entry->gr_gid;
  }
  if (!is(info, "runas_uid", uid, true) || !is(info, "runas_euid", uid, false)) return "it would run as another user";
  if (!is(info, "runas_gid", gid, true) || !is(info, "runas_egid", gid, false)) return "it would run as another group";
  if (info.text("preserve_groups") == "true") return "it would keep the caller's groups";
  if (!only_these(info.text("runas_groups"), groups_of(command.as_user.c_str(), primary, gid)))
    return "it would have groups that " + command.as_user + " does not have";
  return {};
}

std::string breaks_promise(const Vector& info, const Command& command) {
  if (command.subcommands == Subcommands::deny && info.text("noexec") != "true")
    return "this host's sudo cannot keep it from starting others";
  if (command.subcommands == Subcommands::check && info.text("intercept") != "true")
    return "this host's sudo cannot check what it starts";
  if (!command.sha256.empty() && info.get("execfd") == nullptr)
    return "this host's sudo cannot execute the file that it checked";
  if (info.text("sudoedit_follow") == "true") return "sudoedit would follow links";
  return {};
}

Authority authorise(const Cover& before, bool sub, const Wish& wish, const Vector& info, const Session& session,
                    const Abilities& abilities) {
  Authority answer;
  answer.cover = before;
  answer.why = runs_as_another(info, before.command);
  if (answer.why.empty() && !sub) answer.why = breaks_promise(info, before.command);
  if (!answer.why.empty()) return answer;
  const Result<SnapshotReader> store = SnapshotReader::open();
  if (!store) {
    answer.why = store.error().message;
    return answer;
  }
  const std::optional<UnixTime> now = deciding_time(*store, read_clock());
  if (!now) {
    answer.why = "the clock is not synchronised";
    return answer;
  }
  const RootOwnedFiles files;
  const Matcher matcher(wish, session, abilities, files);
  answer.why = "grant " + before.id + " has ended meanwhile";
  grants_of(*store, session, *now, [&](const AdmissionView& grant) {
    if (!(grant.grant == before.grant)) return true;
    answer.why = "grant " + before.id + " does not name what would run";
    for (std::size_t i = 0; i < grant.commands.size() && !answer.allowed; ++i) {
      const Command command = grant.commands.at(i);
      Miss miss;
      const bool same = sub ? command.as_user == before.command.as_user && command.as_group == before.command.as_group
                            : command == before.command;
      answer.allowed = same && matcher.covers(command, miss);
      if (miss.what == Miss::What::changeable) answer.why = miss.changeable;
    }
    answer.cover.end = grant.end;
    answer.left = grant.end - *now;
    return false;
  });
  if (answer.allowed) answer.why.clear();
  return answer;
}

}  // namespace hallpass
