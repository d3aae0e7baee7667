#include "cli/carry.h"

#include <fmt/core.h>

#include <algorithm>

#include "cli/process.h"
#include "cli/proofs.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

// What hallpass-drop takes in one run, with room to spare.
constexpr std::size_t kMaxDocuments = 60;
constexpr std::size_t kMaxBytes = std::size_t{900} * 1024;
constexpr std::size_t kMaxAnswerLines = 20;

// Exit codes of hallpass-drop; 255 is ssh's own.
Carried::State state_of(int status) {
  switch (status) {
    case 0:
      return Carried::State::taken;
    case 1:
      return Carried::State::refused;
    case 5:
      return Carried::State::waiting;
    case 255:
      return Carried::State::unreachable;
    default:
      return Carried::State::unavailable;
  }
}

// Whatever ~/.ssh/config says for this host, nothing is forwarded and no connection stays behind; the first value that
// ssh sees counts. The remote command is what the host runs anyway: where it does not, no shell reads the stream.
std::vector<std::string> ssh_command(const Context& context, const Route& route) {
  std::vector<std::string> argv = {"ssh", "-T", "-a", "-x"};
  const auto option = [&](const std::string& value) { argv.insert(argv.end(), {"-o", value}); };
  for (const char* fixed : {"ClearAllForwardings=yes", "ForwardAgent=no", "RequestTTY=no", "RemoteCommand=none",
                            "ControlMaster=no", "ControlPath=none"})
    option(fixed);
  for (const std::string& typed : route.ssh_options) option(typed);
  for (const char* preset : {"ConnectTimeout=15", "ServerAliveInterval=5", "ServerAliveCountMax=3"}) option(preset);
  const std::string& key = context.options().key.empty() ? context.config().key : context.options().key;
  if (!key.empty() && !key.starts_with("SHA256:")) argv.insert(argv.end(), {"-i", key});
  argv.insert(argv.end(), {"-l", route.user, "--", route.host, "/usr/libexec/hallpass/drop"});
  return argv;
}

void read_answer(std::string_view output, std::vector<std::string>& into) {
  while (!output.empty() && into.size() < kMaxAnswerLines) {
    const std::size_t end = std::min(output.find('\n'), output.size());
    if (end > 0) into.push_back(printable(output.substr(0, end)));
    output.remove_prefix(std::min(end + 1, output.size()));
  }
}

// Each document with its newline.
std::vector<std::string> streams_of(const std::vector<std::string>& documents) {
  std::vector<std::string> streams;
  std::size_t in_last = 0;
  for (const std::string& d : documents) {
    if (streams.empty() || in_last == kMaxDocuments || streams.back().size() + d.size() > kMaxBytes) {
      streams.emplace_back();
      in_last = 0;
    }
    streams.back() += d;
    ++in_last;
  }
  return streams;
}

bool matters_to(const Revocation& r, const Workspace& workspace, const Statement& request,
                const std::vector<Statement>& about) {
  if (r.form == Revocation::Form::subject) return r.subject == request.request()->subject;
  std::string owner;
  workspace.policy().find_fingerprint(r.key, &owner);
  return owner == request.request()->subject ||
         std::any_of(about.begin(), about.end(), [&](const Statement& s) { return s.key().fingerprint() == r.key; });
}

bool is_over(GrantState state) {
  return state == GrantState::denied || state == GrantState::revoked;
}

// Is there something about this grant that hosts should know now?
bool is_news(const Grant& grant) {
  return std::any_of(grant.answers.begin(), grant.answers.end(), [](const HostsJudged& a) {
    const Judgement& j = a.judgement;
    return j.state == GrantState::active || is_over(j.state) ||
           (j.state == GrantState::pending && j.step == Step::not_started);
  });
}

void deliver_to(Context& context, const Workspace& workspace, const std::string& host, const std::string& by_hand,
                std::span<const Statement> statements) {
  Output& out = context.out();
  const Route route{host, kDropAccount, {}};
  const auto carried = carry(context, workspace, route, statements);
  const std::string why = carried ? trouble(carried.value(), route) : carried.error().message;
  if (!why.empty()) {
    out.warn(fmt::format("not carried to {}: {}; to try again: {}", host, why, by_hand));
    return;
  }
  for (const std::string& line : carried->answer) out.note(fmt::format("carried: {}", line));
}

}  // namespace

std::string_view to_string(Carried::State state) {
  switch (state) {
    case Carried::State::taken:
      return "taken";
    case Carried::State::waiting:
      return "waiting";
    case Carried::State::refused:
      return "refused";
    case Carried::State::unreachable:
      return "unreachable";
    case Carried::State::unavailable:
      break;
  }
  return "unavailable";
}

std::vector<Statement> to_carry(const Workspace& workspace, std::span<const Digest> grants) {
  std::vector<Statement> out;
  for (const Digest& grant : grants) {
    const Statement* request = workspace.request(grant);
    if (request == nullptr) continue;
    std::vector<Statement> about = workspace.bearing_on(grant);
    const auto for_all = [](const Statement& s) {
      return s.revocation() != nullptr && s.revocation()->form != Revocation::Form::request;
    };
    const auto middle =
        std::stable_partition(about.begin(), about.end(), [&](const Statement& s) { return !for_all(s); });
    const std::vector<Statement> own(about.begin(), middle);
    std::copy_if(middle, about.end(), std::back_inserter(out),
                 [&](const Statement& s) { return matters_to(*s.revocation(), workspace, *request, own); });
    out.insert(out.end(), own.begin(), own.end());
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  // The host reads them in this order: what narrows is known before what it narrows.
  std::stable_partition(out.begin(), out.end(), [](const Statement& s) { return s.revocation() != nullptr; });
  return out;
}

Result<Carried> carry(Context& context, const Workspace& workspace, const Route& route,
                      std::span<const Statement> statements) {
  std::vector<std::string> proofs, documents;
  // Not carrying would help nobody: revocations need no proof, and most hosts ask for none.
  if (auto made = proofs_for(context, workspace, statements)) {
    proofs = std::move(made).value();
  } else {
    context.out().warn(fmt::format("carried without proofs from the log, which hosts with require_log ask for: {}",
                                   made.error().message));
  }
  for (const Statement& s : statements) documents.push_back(s.envelope() + "\n");
  documents.insert(documents.end(), proofs.begin(), proofs.end());
  Carried carried;
  carried.statements = statements.size();
  carried.proofs = proofs.size();
  const std::vector<std::string> command = ssh_command(context, route);
  for (const std::string& stream : streams_of(documents)) {
    const auto finished = run(command, Streams::fed, stream);
    if (!finished) return finished.error();
    read_answer(finished->output, carried.answer);
    carried.status = finished->status;
    const Carried::State state = state_of(finished->status);
    if (state != Carried::State::taken || carried.state != Carried::State::waiting) carried.state = state;
    if (state != Carried::State::taken && state != Carried::State::waiting) break;
  }
  return carried;
}

std::string trouble(const Carried& carried, const Route& route) {
  switch (carried.state) {
    case Carried::State::taken:
    case Carried::State::waiting:
      return {};
    case Carried::State::refused:
      return fmt::format("{} refused it, for the reason above", route.host);
    case Carried::State::unreachable:
      return fmt::format(
          "ssh did not get in as {}@{}, for the reason above; is the host set up to take grants "
          "(host.toml: drop), and is your key in the policy?",
          route.user, route.host);
    case Carried::State::unavailable:
      break;
  }
  if (carried.status == 126 || carried.status == 127)
    return fmt::format("{} has no hallpass-drop (exit {}); those who run it must install it", route.host,
                       carried.status);
  return fmt::format("{} could not keep it (exit {}), for the reason above", route.host, carried.status);
}

void deliver_carried(Context& context, const Workspace& workspace, const Grant& grant) {
  if (context.config().deliver.empty() || !is_news(grant)) return;
  const std::vector<Statement> statements = to_carry(workspace, {&grant.digest, 1});
  for (const std::string& host : context.config().deliver) {
    const HostIdentity* known = workspace.hosts().find(host);
    if (known != nullptr && !any_matches(grant.request->targets, *known)) continue;
    deliver_to(context, workspace, host, fmt::format("hallpass carry {} {}", host, grant.id()), statements);
  }
}

void deliver_carried(Context& context, const Workspace& workspace, const Statement& revocation) {
  for (const std::string& host : context.config().deliver)
    deliver_to(context, workspace, host, fmt::format("hallpass carry {}", host), {&revocation, 1});
}

}  // namespace hallpass::cli
