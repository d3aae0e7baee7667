// `hallpass list`, `show` and `explain`: reading, never signing.
#include <fmt/core.h>

#include <algorithm>

#include "cli/commands.h"
#include "cli/grants.h"
#include "core/explain.h"
#include "core/nearest.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

const std::vector<std::string> kStates = {"active", "denied", "ended", "pending", "revoked", "void"};

// What is left of the answer once the state has a column of its own.
std::string when_words(const Judgement& j, const Times& times) {
  const std::string window = window_words(j, times);
  return printable(window.empty() ? j.detail : window, 2000);
}

std::vector<Cell> row(const Grant& grant, const Times& times) {
  const Request& r = *grant.request;
  const Judgement& j = grant.overall();
  return {{grant.id(), Style::bold},
          {std::string(to_string(j.state)), style_of(j.state)},
          {r.subject},
          {r.runbook},
          {target_words(r.targets)},
          {when_words(j, times)},
          {printable(r.reason, 500), Style::dim}};
}

// Active first, then what waits; the newest on top.
void sort_for_people(std::vector<Grant>& grants) {
  const auto order = [](const Grant& g) { return g.overall().state == GrantState::active ? 0 : g.live() ? 1 : 2; };
  std::stable_sort(grants.begin(), grants.end(), [&](const Grant& a, const Grant& b) {
    return std::pair(order(a), b.request->requested_at) < std::pair(order(b), a.request->requested_at);
  });
}

int print_list(Context& context, const Workspace& workspace, const std::vector<Grant>& grants, std::size_t hidden) {
  Output& out = context.out();
  if (out.json()) {
    JsonArray all;
    for (const Grant& g : grants) all.push_back(grant_json(g, workspace));
    out.json(JsonObject{{"grants", std::move(all)}});
    return 0;
  }
  if (grants.empty()) {
    out.note(hidden == 0 ? "no grants here"
                         : fmt::format("no such grants now; {} (hallpass list --all)",
                                       count_of(hidden, "other is here", "others are here")));
    return 0;
  }
  Table table({"ID", "STATE", "WHO", "RUNBOOK", "WHERE", "WHEN", "WHY"});
  for (const Grant& g : grants) table.add(row(g, context.times()));
  out.table(table);
  return 0;
}

}  // namespace

int cmd_list(Context& context, const ListArgs& args) {
  Output& out = context.out();
  if (!args.state.empty() && std::find(kStates.begin(), kStates.end(), args.state) == kStates.end()) {
    return out.fail(Exit::usage, fmt::format("\"{}\" is no state; choose from {}", printable(args.state),
                                             join_words(kStates, "and")));
  }
  const auto workspace = context.open_workspace();
  if (!workspace) return out.fail(workspace.error());
  std::string me;
  if (args.mine) {
    me = context.name_if_known(workspace->policy());
    if (me.empty())
      return out.fail(Exit::usage, "--mine: who are you? use --as NAME, or write me = \"NAME\" in config.toml");
  }
  std::vector<Grant> grants = view_all(workspace.value(), Context::now());
  const std::size_t total = grants.size();
  std::erase_if(grants, [&](const Grant& g) {
    if (args.mine && g.request->subject != me) return true;
    if (!args.state.empty()) return to_string(g.overall().state) != args.state;
    return !args.all && !g.live();
  });
  sort_for_people(grants);
  return print_list(context, workspace.value(), grants, total - grants.size());
}

int cmd_show(Context& context, const ShowArgs& args) {
  Output& out = context.out();
  auto workspace = context.open_workspace();
  if (!workspace) return out.fail(workspace.error());
  const auto digest = resolve_grant(workspace.value(), args.grant, out);
  if (!digest) return out.fail(digest.error());
  const Grant grant = view_grant(workspace.value(), digest.value(), Context::now());
  if (out.json()) {
    out.json(grant_json(grant, workspace.value()));
  } else {
    out.lines(card(grant, workspace.value(), context.times(), out));
  }
  return 0;
}

namespace {

// One host's answer, or all answers of the hosts meant.
Result<std::vector<HostsJudged>> answers_for(const Workspace& workspace, const Digest& digest, const std::string& host,
                                             Output& out) {
  if (host.empty()) return view_grant(workspace, digest, Context::now()).answers;
  if (!is_host_name(host)) return Error{Errc::malformed, fmt::format("\"{}\" is not a host name", printable(host))};
  HostIdentity identity{host, {}};
  if (const HostIdentity* known = workspace.hosts().find(host)) {
    identity = *known;
  } else {
    std::vector<std::string> names;
    for (const HostIdentity& h : workspace.hosts().all) names.push_back(h.name);
    const std::string near = nearest_name(host, names);
    out.warn(fmt::format("{} is not in hosts.toml{}; judged without labels", host,
                         near.empty() ? "" : fmt::format(" (did you mean {}?)", near)));
  }
  std::vector<HostsJudged> answers;
  answers.push_back({{host}, workspace.judge(digest, &identity, Context::now())});
  return answers;
}

}  // namespace

int cmd_explain(Context& context, const ShowArgs& args) {
  Output& out = context.out();
  auto workspace = context.open_workspace();
  if (!workspace) return out.fail(workspace.error());
  const auto digest = resolve_grant(workspace.value(), args.grant, out);
  if (!digest) return out.fail(digest.error());
  const auto answers = answers_for(workspace.value(), digest.value(), args.host, out);
  if (!answers) return out.fail(answers.error());
  if (out.json()) {
    JsonArray all;
    for (const HostsJudged& a : answers.value()) {
      JsonArray hosts;
      for (const std::string& h : a.hosts) hosts.emplace_back(h);
      all.emplace_back(JsonObject{{"hosts", std::move(hosts)}, {"judgement", to_json_value(a.judgement)}});
    }
    out.json(JsonObject{{"answers", std::move(all)}});
    return 0;
  }
  const Times times = context.times();
  bool first = true;
  for (const HostsJudged& a : answers.value()) {
    if (!first) out.line();
    first = false;
    if (!a.hosts.empty()) out.line(out.styled("On " + join_words(a.hosts, "and") + ":", Style::bold));
    for (const std::string& line :
         explain(a.judgement, workspace->policy(), times.now(), [&](UnixTime t) { return times.brief(t); })) {
      out.line(printable(line, 2000));
    }
  }
  return 0;
}

}  // namespace hallpass::cli
