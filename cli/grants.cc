#include "cli/grants.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "core/edge/files.h"
#include "core/explain.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr std::size_t kHostsShown = 6;

int hope(GrantState state) {
  switch (state) {
    case GrantState::active:
      return 0;
    case GrantState::pending:
      return 1;
    case GrantState::revoked:
    case GrantState::denied:
      return 2;
    case GrantState::ended:
      return 3;
    case GrantState::void_:
      break;
  }
  return 4;
}

bool same_answer(const Judgement& a, const Judgement& b) {
  return a.state == b.state && a.step == b.step && a.window == b.window && a.rule == b.rule &&
         a.approvers == b.approvers && (a.step == Step::target || a.detail == b.detail);
}

// All that judging asks of a host that the request means. Hosts that look the same hear the same, so that a request for
// a whole fleet is not judged once a host.
std::string looks_of(const HostIdentity& host, const Policy& policy, const Grant& grant) {
  std::string out;
  for (const Rule& rule : policy.rules) {
    const bool named =
        std::find(rule.runbooks.begin(), rule.runbooks.end(), grant.request->runbook) != rule.runbooks.end();
    if (named) out += any_matches(rule.targets, host) ? 'y' : 'n';
  }
  for (const Statement& s : grant.statements) {
    const Decision* d = s.decision();
    if (d != nullptr && d->targets) out += any_matches(*d->targets, host) ? 'y' : 'n';
  }
  return out;
}

std::vector<HostsJudged> judge_hosts(const Workspace& workspace, const Grant& grant, UnixTime now) {
  std::vector<HostsJudged> answers;
  std::map<std::string, std::size_t> heard;  // which answer those who look like this hear
  for (const HostIdentity* host : workspace.hosts().matching(grant.request->targets)) {
    const auto [known, first] = heard.emplace(looks_of(*host, workspace.policy(), grant), answers.size());
    if (!first) {
      answers[known->second].hosts.push_back(host->name);
      continue;
    }
    Judgement j = workspace.judge(grant.statements, grant.digest, host, now);
    const auto same =
        std::find_if(answers.begin(), answers.end(), [&](const HostsJudged& a) { return same_answer(a.judgement, j); });
    if (same != answers.end()) {
      known->second = static_cast<std::size_t>(same - answers.begin());
      same->hosts.push_back(host->name);
    } else {
      answers.push_back({{host->name}, std::move(j)});
    }
  }
  if (answers.empty()) answers.push_back({{}, workspace.judge(grant.statements, grant.digest, nullptr, now)});
  std::stable_sort(answers.begin(), answers.end(), [](const HostsJudged& a, const HostsJudged& b) {
    return hope(a.judgement.state) < hope(b.judgement.state);
  });
  return answers;
}

std::string some_of(const std::vector<std::string>& names) {
  if (names.size() <= kHostsShown) return join_words(names, "and");
  std::vector<std::string> shown(names.begin(), names.begin() + kHostsShown - 1);
  shown.push_back(fmt::format("{} more", names.size() - shown.size()));
  return join_words(shown, "and");
}

Result<std::string> read_stdin() {
  std::string out;
  std::array<char, 8192> buffer{};
  for (;;) {
    const ssize_t n = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{Errc::unavailable, "cannot read standard input"};
    if (n == 0) return out;
    out.append(buffer.data(), static_cast<std::size_t>(n));
    if (out.size() > kMaxGrantFile) return Error{Errc::too_large, "standard input is larger than any grant file"};
  }
}

}  // namespace

Grant view_grant(const Workspace& workspace, const Digest& digest, UnixTime now) {
  Grant grant;
  grant.digest = digest;
  grant.statements = workspace.bearing_on(digest);
  grant.request = workspace.request(digest)->request();
  grant.answers = judge_hosts(workspace, grant, now);
  return grant;
}

Grant view_grant_with(const Workspace& workspace, const Statement& added, const Digest& digest, UnixTime now) {
  Workspace with = workspace;
  with.add(added);
  Grant grant;
  grant.digest = digest;
  grant.statements = with.bearing_on(digest);
  // Statements are immutable and shared, so the request outlives `with`.
  grant.request = with.request(digest)->request();
  grant.answers = judge_hosts(with, grant, now);
  return grant;
}

std::vector<Grant> view_all(const Workspace& workspace, UnixTime now) {
  std::vector<Grant> out;
  for (const Statement* s : workspace.requests()) out.push_back(view_grant(workspace, s->payload_digest(), now));
  return out;
}

UnixTime next_change(const Grant& grant, UnixTime now) {
  UnixTime next = UnixTime::max();
  const auto consider = [&](UnixTime t) {
    if (t > now && t < next) next = t;
  };
  for (const HostsJudged& a : grant.answers) {
    if (a.judgement.window) {
      consider(a.judgement.window->start);
      consider(a.judgement.window->end);
    }
    for (const RuleResult& r : a.judgement.rules) {
      if (!r.window) continue;
      consider(r.window->start);
      consider(r.window->end);
    }
  }
  consider(grant.request->requested_at - kMaxClockAhead);
  consider(grant.request->respond_by + Seconds{1});
  if (grant.request->not_before) consider(*grant.request->not_before);
  return next;
}

Style style_of(GrantState state) {
  switch (state) {
    case GrantState::active:
      return Style::good;
    case GrantState::pending:
      return Style::waiting;
    case GrantState::denied:
    case GrantState::revoked:
      return Style::bad;
    case GrantState::ended:
      return Style::dim;
    case GrantState::void_:
      break;
  }
  return Style::odd;
}

std::string summary(const Judgement& judgement, const Times& times) {
  return printable(summarize(judgement, times.now(), [&](UnixTime t) { return times.brief(t); }), 2000);
}

std::vector<std::string> answer_lines(const Grant& grant, const Times& times) {
  std::vector<std::string> out;
  for (const HostsJudged& a : grant.answers) {
    const std::string text = summary(a.judgement, times);
    out.push_back(grant.answers.size() == 1 ? text : fmt::format("{}: {}", some_of(a.hosts), text));
  }
  return out;
}

std::string target_words(std::span<const Selector> targets) {
  std::vector<std::string> words;
  for (const Selector& s : targets) {
    const std::string_view text = s.text();
    const bool plain_host = text.starts_with("host=") && text.find(',') == std::string_view::npos;
    words.emplace_back(plain_host ? text.substr(5) : text);
  }
  return join_words(words, "or");
}

std::string host_words(const Workspace& workspace, std::span<const Selector> targets) {
  std::vector<std::string> names;
  for (const HostIdentity* host : workspace.hosts().matching(targets)) names.push_back(host->name);
  return some_of(names);
}

std::string parameter_words(const Request& request) {
  std::vector<std::string> words;
  for (const auto& [name, values] : request.parameters)
    words.push_back(fmt::format("{}={}", name, fmt::join(values, ",")));
  return printable(fmt::to_string(fmt::join(words, " ")), 2000);
}

std::string window_words(const Judgement& j, const Times& times) {
  if (j.state == GrantState::active && j.window) return fmt::format("until {}", times.with_left(j.window->end));
  if (j.state == GrantState::pending && j.window) {
    return fmt::format("{} to {}", times.brief(j.window->start), times.brief(j.window->end));
  }
  if (j.state == GrantState::ended && j.window) return times.with_left(j.window->end);
  return {};
}

Result<Digest> resolve_grant(Workspace& workspace, const std::string& argument, Output& out) {
  const bool is_file = argument == "-" || argument.find('/') != std::string::npos || argument.ends_with(".grant");
  if (!is_file) return workspace.find_grant(argument);
  auto content = argument == "-" ? read_stdin() : read_file(AT_FDCWD, argument, kMaxGrantFile, true);
  if (!content) return content.error();
  StatementPool pool;
  const std::string name = argument == "-" ? "standard input" : argument;
  read_grant_file(content.value(), name, workspace.policy().fleet, workspace.policy(), pool);
  for (const Rejected& r : pool.rejected) {
    out.warn(fmt::format("ignored line {} of {}: {}", r.line, printable(name), r.error.message));
  }
  std::vector<Digest> about;
  for (const Statement& s : pool.statements) {
    workspace.add(s);
    if (s.request() != nullptr) about.push_back(s.payload_digest());
    if (s.decision() != nullptr) about.push_back(s.decision()->request);
  }
  std::sort(about.begin(), about.end());
  about.erase(std::unique(about.begin(), about.end()), about.end());
  std::erase_if(about, [&](const Digest& d) { return workspace.request(d) == nullptr; });
  if (about.size() == 1) return about.front();
  if (about.empty())
    return Error{Errc::malformed, fmt::format("{} holds no request that this policy knows", printable(name))};
  return Error{Errc::malformed,
               fmt::format("{} holds {} requests; hand over one grant at a time", printable(name), about.size())};
}

}  // namespace hallpass::cli
