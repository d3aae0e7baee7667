// Grants as people see them: states host by host, the card that is shown before signing, rows of a list, and the JSON
// form.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/workspace.h"
#include "core/judge.h"

namespace hallpass::cli {

// Hosts that hear the same answer. `hosts` is empty when hosts.toml does not say which are meant: targets are left open
// then.
struct HostsJudged {
  std::vector<std::string> hosts;
  Judgement judgement;
};

// One grant and its answers, the most hopeful first; never empty.
struct Grant {
  const Request* request = nullptr;  // of a statement held by `statements`
  Digest digest;
  std::vector<Statement> statements;  // what bears on it
  std::vector<HostsJudged> answers;
  const Judgement& overall() const { return answers.front().judgement; }
  std::string id() const { return grant_id(digest); }
  bool live() const { return overall().state == GrantState::active || overall().state == GrantState::pending; }
};

// `digest` must be that of a request in the workspace.
Grant view_grant(const Workspace& workspace, const Digest& digest, UnixTime now);
// The same with one statement more that is not published yet.
Grant view_grant_with(const Workspace& workspace, const Statement& added, const Digest& digest, UnixTime now);
std::vector<Grant> view_all(const Workspace& workspace, UnixTime now);

// When its answers can change next without a new statement; far away when they cannot. Never `now` or before.
UnixTime next_change(const Grant& grant, UnixTime now);

Style style_of(GrantState state);

// "active until 14:32 (12m left)", with the zone of the reader; already printable.
std::string summary(const Judgement& judgement, const Times& times);
// One line an answer: "web-3: active until …"; a single answer names no hosts.
std::vector<std::string> answer_lines(const Grant& grant, const Times& times);

// Who, why, how long, where, the commands with parameters filled in, who decided: label and text, for the terminal's
// width.
std::vector<std::string> card(const Grant& grant, const Workspace& workspace, const Times& times, const Output& out);
std::string window_words(const Judgement& judgement, const Times& times);

// "web-3, web-4 and 3 more" of the hosts meant; "" when hosts.toml does not say.
std::string host_words(const Workspace& workspace, std::span<const Selector> targets);
std::string target_words(std::span<const Selector> targets);
std::string parameter_words(const Request& request);
std::vector<std::string> command_lines(const Policy& policy, const Request& request);

// docs/cli-json.md, "A grant".
Json grant_json(const Grant& grant, const Workspace& workspace);

// An argument of approve, deny, revoke, show and explain: an id, a grant file, or "-" for one on stdin. Statements of a
// file join the workspace. Errors: as Workspace::find_grant; malformed when the file does not hold exactly one request.
Result<Digest> resolve_grant(Workspace& workspace, const std::string& argument, Output& out);

}  // namespace hallpass::cli
