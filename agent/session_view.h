// What the agent answers to `time`, `done`, `sessions` and `end`, from plain facts. docs/formats.md, "Control socket".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/local_socket.h"
#include "core/values/command.h"
#include "core/values/result.h"
#include "core/values/time.h"
#include "host/session.h"

namespace hallpass {

// A registered session as the agent knows it now.
struct SessionFacts {
  Session session;
  UnixTime since{};               // when its leader began
  std::optional<UnixTime> ends;   // when it must be over; nullopt: not known
  std::string ends_with;          // id of the grant whose end that is; empty: nothing admits it any more
  bool by_use = false;            // because that grant's sudo was used in it, though another may admit it for longer
  std::vector<std::string> used;  // ids of grants whose sudo was used in it
  enum class State { live, left_behind, ending } state = State::live;  // left_behind: its leader is gone
  std::string from;                                                    // the other end of the connection, when known
};

// A grant that admits a session's subject to its account now.
struct GrantFacts {
  std::string id, runbook, reason, ticket;
  UnixTime end{};
  bool used = false;  // its sudo, in that session
  std::vector<Command> commands;
};

// What the agent provides. Any user may make it answer, so nothing but all() may grow with the number of sessions.
class SessionDesk {
 public:
  virtual ~SessionDesk() = default;
  virtual std::string host() const = 0;
  virtual UnixTime now() const = 0;
  virtual std::vector<SessionFacts> all() const = 0;
  virtual std::optional<SessionFacts> named(const std::string& name) const = 0;  // the registry's: "5", "logind-5"
  // That admit the session's subject to its account now.
  virtual std::vector<GrantFacts> grants(const Session& session) const = 0;
  // Those grants are over on this host for good, and the subject's sessions on the account end.
  virtual Status give_back(const Session& session) = 0;
  // An operator ends one session. Begun, not waited for.
  virtual Status end(const Session& session, const std::string& reason) = 0;
};

// A process as sessions tell processes apart.
struct Caller {
  uid_t uid = 0;
  std::optional<std::uint32_t> audit;
  std::string group;
};
// Between connecting and now its pid may have become another process's: of the same user at worst, for the uid is the
// connection's and must be the session's. Users of one account are not kept apart from each other anyway.
Caller caller_of(const Peer& peer);

// The session that a process descends from. Only for telling and giving back: unlike for sudo (session_of_caller) the
// leader may be gone, and root may ask from within. Errors: not_found, mismatch, in words for the caller.
Result<SessionFacts> session_of(const SessionDesk& desk, const Caller& caller);
// By what an operator types: a name of the registry, or logind's id. Errors: not_found (names those that there are),
// mismatch (more than one is meant).
Result<SessionFacts> session_meant(const std::vector<SessionFacts>& all, std::string_view word);

// The JSON text that answers. nullopt: no command of these.
std::optional<Result<std::string>> session_command(SessionDesk& desk, const Caller& caller, std::string_view command);

}  // namespace hallpass
