#include "agent/session_view.h"

#include <algorithm>

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

std::size_t sessions_of(const std::vector<const Session*>& registered, const Session& like) {
  return static_cast<std::size_t>(std::count_if(registered.begin(), registered.end(), [&](const Session* s) {
    return s->subject == like.subject && s->account == like.account;
  }));
}

Result<std::string> tell_time(const SessionDesk& desk, const Caller& caller) {
  const auto registered = desk.registered();
  const auto found = session_of(registered, caller);
  if (!found) return found.error();
  const Session& session = **found;
  const SessionFacts f = desk.facts(session);
  JsonArray grants;
  for (const GrantFacts& g : desk.grants(session)) grants.push_back(grant_json(g));
  return to_json(JsonObject{{"hallpass", "time/1"},
                            {"session", session_name(session)},
                            {"host", desk.host()},
                            {"subject", session.subject},
                            {"account", session.account},
                            {"ends_at", time_or_null(f.ends)},
                            {"left", left_until(f.ends, desk.now())},
                            {"why_then", why_then(f)},
                            {"state", word_for(f.state)},
                            {"observed", session.observed},
                            {"sessions", static_cast<std::int64_t>(sessions_of(registered, session))},
                            {"grants", std::move(grants)}});
}

Result<std::string> give_back(SessionDesk& desk, const Caller& caller) {
  const auto registered = desk.registered();
  const auto found = session_of(registered, caller);
  if (!found) return found.error();
  const Session session = **found;
  JsonArray grants;
  for (const GrantFacts& g : desk.grants(session)) grants.emplace_back(g.id);
  JsonObject answer{{"hallpass", "done/1"},
                    {"session", session_name(session)},
                    {"host", desk.host()},
                    {"subject", session.subject},
                    {"account", session.account},
                    {"grants", std::move(grants)},
                    {"sessions", static_cast<std::int64_t>(sessions_of(registered, session))}};
  if (const Status done = desk.give_back(session.subject, session.account); !done) return done.error();
  return to_json(std::move(answer));
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
  std::vector<SessionFacts> all;
  for (const Session* s : desk.registered()) all.push_back(desk.facts(*s));
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
  const auto found = session_named(desk.registered(), name);
  if (!found) return found.error();
  const Session session = **found;
  JsonArray grants;
  for (const GrantFacts& g : desk.grants(session)) grants.emplace_back(g.id);
  if (const Status begun = desk.end_session(session, reason); !begun) return begun.error();
  return to_json(JsonObject{{"hallpass", "end/1"},
                            {"session", session_name(session)},
                            {"subject", session.subject},
                            {"account", session.account},
                            {"grants", std::move(grants)}});
}

std::string names_of(const std::vector<const Session*>& sessions) {
  std::string text;
  for (std::size_t i = 0; i < std::min(sessions.size(), kNamedAtMost); ++i) {
    const Session& s = *sessions[i];
    text += (i == 0 ? "" : ", ") + session_name(s) + " (" + s.subject + " on " + s.account + ")";
  }
  return sessions.size() > kNamedAtMost ? text + " and more" : text;
}

// "/user.slice/user-1000.slice/session-5.scope" holds itself and what is below it.
bool sits_in(std::string_view group, const std::string& outer) {
  return !outer.empty() && group.starts_with(outer) && (group.size() == outer.size() || group[outer.size()] == '/');
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

Result<const Session*> session_of(const std::vector<const Session*>& registered, const Caller& caller) {
  const auto found = std::find_if(registered.begin(), registered.end(), [&](const Session* s) {
    // What has no audit id of its own is told by its control group, which only root can leave.
    if (s->audit == kNoAuditSession) return sits_in(caller.group, s->control_group);
    return caller.audit == s->audit;
  });
  if (found == registered.end()) {
    return Error{Errc::not_found,
                 "this is no session under a grant, so hallpass does not end it" +
                     std::string(caller.uid == 0 ? "; those that there are: hallpass host sessions" : "")};
  }
  const Session& session = **found;
  if (caller.uid != session.uid && caller.uid != 0) {
    return Error{Errc::mismatch, "this session is of " + session.subject + " on the account " + session.account +
                                     ", and you are another user in it: ask as " + session.account};
  }
  return *found;
}

Result<const Session*> session_named(const std::vector<const Session*>& registered, std::string_view word) {
  std::vector<const Session*> meant;
  for (const Session* s : registered) {
    if (session_name(*s) == word || s->logind == word) meant.push_back(s);
  }
  if (meant.size() == 1) return meant.front();
  if (!meant.empty())
    return Error{Errc::mismatch, printable(word, 40) + " may mean more than one session: " + names_of(meant)};
  return Error{Errc::not_found, "there is no session " + printable(word, 40) +
                                    (registered.empty() ? ", nor any other" : "; there are " + names_of(registered))};
}

std::optional<Result<std::string>> session_command(SessionDesk& desk, const Caller& caller, std::string_view command) {
  if (command == "time") return tell_time(desk, caller);
  if (command == "done") return give_back(desk, caller);
  if (command == "sessions") return Result<std::string>(list_sessions(desk));
  if (command.starts_with("end ")) return end_one(desk, command.substr(4));
  return std::nullopt;
}

}  // namespace hallpass
