#include "agent/session_view.h"

#include <algorithm>
#include <tuple>

#include "core/json.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kNamedAtMost = 12;

Json time_or_null(const std::optional<UnixTime>& t) {
  return t ? Json(format_time(*t)) : Json();
}

Json left_until(const std::optional<UnixTime>& t, UnixTime now) {
  return t ? Json(static_cast<std::int64_t>(std::max(*t - now, Seconds{0}).count())) : Json();
}

Json list_of(const std::vector<std::string>& texts) {
  return JsonArray(texts.begin(), texts.end());
}

std::string_view word_for(SessionFacts::State state) {
  switch (state) {
    case SessionFacts::State::live:
      return "live";
    case SessionFacts::State::left_behind:
      return "left-behind";
    case SessionFacts::State::ending:
      break;
  }
  return "ending";
}

std::string why_then(const SessionFacts& f) {
  if (f.ends_with.empty()) return "no grant admits it any more";
  return "grant " + f.ends_with + " ends" + (f.by_use ? ", whose sudo was used in this session" : "");
}

Json grant_json(const GrantFacts& g) {
  JsonArray commands;
  for (const Command& c : g.commands) commands.emplace_back(describe_command(c));
  return JsonObject{{"id", g.id},
                    {"runbook", g.runbook},
                    {"reason", g.reason},
                    {"ticket", g.ticket},
                    {"ends_at", format_time(g.end)},
                    {"used", g.used},
                    {"commands", std::move(commands)}};
}

Result<std::string> tell_time(const SessionDesk& desk, const Caller& caller) {
  const auto f = session_of(desk, caller);
  if (!f) return f.error();
  JsonArray grants;
  for (const GrantFacts& g : desk.grants(f->session)) grants.push_back(grant_json(g));
  return to_json(JsonObject{{"hallpass", "time/1"},
                            {"session", session_name(f->session)},
                            {"host", desk.host()},
                            {"subject", f->session.subject},
                            {"account", f->session.account},
                            {"ends_at", time_or_null(f->ends)},
                            {"left", left_until(f->ends, desk.now())},
                            {"why_then", why_then(*f)},
                            {"state", word_for(f->state)},
                            {"observed", f->session.observed},
                            {"grants", std::move(grants)}});
}

Json ids_of(const std::vector<GrantFacts>& grants) {
  JsonArray ids;
  for (const GrantFacts& g : grants) ids.emplace_back(g.id);
  return ids;
}

Result<std::string> give_back(SessionDesk& desk, const Caller& caller) {
  const auto f = session_of(desk, caller);
  if (!f) return f.error();
  Json grants = ids_of(desk.grants(f->session));
  if (const Status done = desk.give_back(f->session); !done) return done.error();
  return to_json(JsonObject{{"hallpass", "done/1"},
                            {"session", session_name(f->session)},
                            {"host", desk.host()},
                            {"subject", f->session.subject},
                            {"account", f->session.account},
                            {"grants", std::move(grants)}});
}

Json session_json(const SessionFacts& f, UnixTime now) {
  const Session& s = f.session;
  return JsonObject{{"session", session_name(s)},
                    {"logind", s.logind},
                    {"subject", s.subject},
                    {"account", s.account},
                    {"leader", static_cast<std::int64_t>(s.leader)},
                    {"since", format_time(f.since)},
                    {"ends_at", time_or_null(f.ends)},
                    {"left", left_until(f.ends, now)},
                    {"why_then", why_then(f)},
                    {"grant", s.grant_id},
                    {"used", list_of(f.used)},
                    {"state", word_for(f.state)},
                    {"observed", s.observed},
                    {"from", f.from.empty() ? Json() : Json(f.from)}};
}

std::string list_sessions(const SessionDesk& desk) {
  std::vector<SessionFacts> all = desk.all();
  std::sort(all.begin(), all.end(), [](const SessionFacts& a, const SessionFacts& b) {
    const std::string left = session_name(a.session), right = session_name(b.session);
    return std::tuple(a.since, left.size(), left) < std::tuple(b.since, right.size(), right);
  });
  JsonArray sessions;
  for (const SessionFacts& f : all) sessions.push_back(session_json(f, desk.now()));
  return to_json(JsonObject{{"hallpass", "sessions/1"}, {"host", desk.host()}, {"sessions", std::move(sessions)}});
}

// rest: "SESSION" or "SESSION reason in words".
Result<std::string> end_one(SessionDesk& desk, std::string_view rest) {
  const std::size_t space = std::min(rest.find(' '), rest.size());
  const std::string_view name = rest.substr(0, space);
  const std::string reason(rest.substr(std::min(space + 1, rest.size())));
  if (const Status fine = check_text(reason); !fine)
    return Error{Errc::malformed, "the reason cannot be used: " + fine.error().message};
  const auto f = session_meant(desk.all(), name);
  if (!f) return f.error();
  Json grants = ids_of(desk.grants(f->session));
  if (const Status begun = desk.end(f->session, reason); !begun) return begun.error();
  return to_json(JsonObject{{"hallpass", "end/1"},
                            {"session", session_name(f->session)},
                            {"subject", f->session.subject},
                            {"account", f->session.account},
                            {"grants", std::move(grants)}});
}

std::string names_of(const std::vector<SessionFacts>& sessions) {
  std::string text;
  for (std::size_t i = 0; i < std::min(sessions.size(), kNamedAtMost); ++i) {
    const Session& s = sessions[i].session;
    text += (i == 0 ? "" : ", ") + session_name(s) + " (" + s.subject + " on " + s.account + ")";
  }
  return sessions.size() > kNamedAtMost ? text + " and more" : text;
}

// "5" of "/user.slice/user-1000.slice/session-5.scope" and of groups below it.
std::string logind_of(std::string_view group) {
  constexpr std::string_view kBefore = "/session-", kAfter = ".scope";
  const std::size_t begin = group.find(kBefore);
  if (begin == std::string_view::npos) return "";
  const std::string_view rest = group.substr(begin + kBefore.size());
  const std::size_t end = rest.find(kAfter);
  return end == std::string_view::npos ? "" : std::string(rest.substr(0, end));
}

// "/user.slice/user-1000.slice/session-5.scope" holds itself and what is below it.
bool sits_in(std::string_view group, const std::string& outer) {
  return !outer.empty() && group.starts_with(outer) && (group.size() == outer.size() || group[outer.size()] == '/');
}

std::optional<SessionFacts> find_session(const SessionDesk& desk, const Caller& caller) {
  if (caller.audit) {
    if (auto found = desk.named(std::to_string(*caller.audit))) return found;
  }
  // What has no audit id of its own is told by its control group, which only root can leave.
  const std::string logind = logind_of(caller.group);
  auto found = logind.empty() ? std::nullopt : desk.named("logind-" + logind);
  return found && sits_in(caller.group, found->session.control_group) ? found : std::nullopt;
}

}  // namespace

Caller caller_of(const Peer& peer) {
  Caller caller;
  caller.uid = peer.uid;
  if (peer.pid <= 0) return caller;  // 0 would be ourselves
  caller.audit = audit_session(peer.pid);
  caller.group = control_group(peer.pid);
  return caller;
}

Result<SessionFacts> session_of(const SessionDesk& desk, const Caller& caller) {
  auto found = find_session(desk, caller);
  if (!found) {
    return Error{Errc::not_found,
                 "this is no session under a grant, so hallpass does not end it" +
                     std::string(caller.uid == 0 ? "; those that there are: hallpass host sessions" : "")};
  }
  const Session& s = found->session;
  if (caller.uid != s.uid && caller.uid != 0) {
    return Error{Errc::mismatch, "this session is of " + s.subject + " on the account " + s.account +
                                     ", and you are another user in it: ask as " + s.account};
  }
  return *std::move(found);
}

Result<SessionFacts> session_meant(const std::vector<SessionFacts>& all, std::string_view word) {
  std::vector<SessionFacts> meant;
  for (const SessionFacts& f : all) {
    if (session_name(f.session) == word || f.session.logind == word) meant.push_back(f);
  }
  if (meant.size() == 1) return meant.front();
  if (!meant.empty())
    return Error{Errc::mismatch, printable(word, 40) + " may mean more than one session: " + names_of(meant)};
  return Error{Errc::not_found, "there is no session " + printable(word, 40) +
                                    (all.empty() ? ", nor any other" : "; there are " + names_of(all))};
}

std::optional<Result<std::string>> session_command(SessionDesk& desk, const Caller& caller, std::string_view command) {
  if (command == "time") return tell_time(desk, caller);
  if (command == "done") return give_back(desk, caller);
  if (command == "sessions") return Result<std::string>(list_sessions(desk));
  if (command.starts_with("end ")) return end_one(desk, command.substr(4));
  return std::nullopt;
}

}  // namespace hallpass
