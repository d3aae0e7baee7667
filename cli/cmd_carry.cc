// `hallpass carry`: hands grants in on a host when nothing else brings them there.
#include <fmt/core.h>

#include <algorithm>

#include "cli/carry.h"
#include "cli/commands.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

// Could a host still admit by it? Then it should hear that it is over.
bool may_admit_elsewhere(const Grant& grant, UnixTime now) {
  const Request& r = *grant.request;
  const GrantState state = grant.overall().state;
  return (state == GrantState::denied || state == GrantState::revoked) &&
         now < std::max(r.respond_by, r.not_before.value_or(r.respond_by)) + r.duration;
}

// Without ids: what is live or was ended early, and may mean this host.
std::vector<Digest> grants_for(const Workspace& workspace, const HostIdentity* host, UnixTime now) {
  std::vector<Digest> out;
  for (const Grant& g : view_all(workspace, now)) {
    if (!g.live() && !may_admit_elsewhere(g, now)) continue;
    if (host == nullptr || any_matches(g.request->targets, *host)) out.push_back(g.digest);
  }
  return out;
}

// Without ids also what holds for people and keys as a whole; a key that the policy no longer has needs no word more.
void add_revocations(const Workspace& workspace, std::vector<Statement>& statements) {
  std::vector<Statement> all;
  for (const Statement& s : workspace.statements()) {
    const Revocation* r = s.revocation();
    const bool counts =
        r != nullptr &&
        (r->form == Revocation::Form::subject ||
         (r->form == Revocation::Form::key && workspace.policy().find_fingerprint(r->key, nullptr) != nullptr));
    if (counts && std::find(statements.begin(), statements.end(), s) == statements.end()) all.push_back(s);
  }
  statements.insert(statements.begin(), all.begin(), all.end());
}

Result<std::vector<Digest>> named_grants(Context& context, Workspace& workspace, const CarryArgs& args,
                                         const HostIdentity* host) {
  std::vector<Digest> out;
  for (const std::string& typed : args.grants) {
    const auto digest = resolve_grant(workspace, typed, context.out());
    if (!digest) return digest.error();
    const Request& request = *workspace.request(digest.value())->request();
    if (host != nullptr && !any_matches(request.targets, *host)) {
      context.out().warn(fmt::format("{} is for {}, and {} is none of that by hosts.toml; it will admit nobody there",
                                     grant_id(digest.value()), target_words(request.targets), host->name));
    }
    out.push_back(digest.value());
  }
  return out;
}

std::string check_arguments(const CarryArgs& args) {
  if (args.host.find('@') != std::string::npos)
    return fmt::format("write the host alone: grants are handed in as {}, whoever you are (--user for another account)",
                       kDropAccount);
  if (!is_ssh_host(args.host))
    return fmt::format("\"{}\" is no host; write it as ssh knows it, such as web-1", printable(args.host));
  if (!is_ssh_host(args.user)) return fmt::format("--user \"{}\" is no account", printable(args.user));
  for (const std::string& option : args.ssh_options) {
    if (option.find('=') == std::string::npos || option.find('\n') != std::string::npos)
      return fmt::format("--ssh-option \"{}\" is not NAME=VALUE, such as Port=2222", printable(option));
  }
  return {};
}

int report(Context& context, const CarryArgs& args, const Route& route, const std::vector<Digest>& grants,
           const Carried& carried) {
  Output& out = context.out();
  if (out.json()) {
    JsonArray ids, answer;
    for (const Digest& d : grants) ids.emplace_back(grant_id(d));
    for (const std::string& line : carried.answer) answer.emplace_back(line);
    out.json(JsonObject{{"host", args.host},
                        {"state", std::string(to_string(carried.state))},
                        {"grants", ids},
                        {"statements", static_cast<std::int64_t>(carried.statements)},
                        {"proofs", static_cast<std::int64_t>(carried.proofs)},
                        {"answer", answer}});
  } else {
    out.lines(carried.answer);
  }
  const std::string why = trouble(carried, route);
  if (why.empty()) return static_cast<int>(Exit::ok);
  return out.fail(carried.state == Carried::State::refused ? Exit::refused : Exit::directory, why);
}

}  // namespace

int cmd_carry(Context& context, const CarryArgs& args) {
  Output& out = context.out();
  if (const std::string mistake = check_arguments(args); !mistake.empty()) return out.fail(Exit::usage, mistake);
  auto workspace = context.open_workspace();
  if (!workspace) return out.fail(workspace.error());
  const HostIdentity* host = workspace->hosts().find(args.host);
  if (args.grants.empty() && host == nullptr)
    out.note(
        fmt::format("hosts.toml does not name {}, so every live grant goes there; the host takes its own", args.host));
  auto grants = args.grants.empty() ? Result(grants_for(workspace.value(), host, Context::now()))
                                    : named_grants(context, workspace.value(), args, host);
  if (!grants) return out.fail(grants.error());
  std::vector<Statement> statements = to_carry(workspace.value(), grants.value());
  if (args.grants.empty()) add_revocations(workspace.value(), statements);
  if (statements.empty())
    return out.fail(Exit::refused, fmt::format("nothing is live for {}; hallpass list shows what is", args.host));
  const Route route{args.host, args.user, args.ssh_options};
  const auto carried = carry(context, workspace.value(), route, statements);
  if (!carried) return out.fail(carried.error());
  return report(context, args, route, grants.value(), carried.value());
}

}  // namespace hallpass::cli
