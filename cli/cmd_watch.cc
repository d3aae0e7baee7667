// `hallpass watch`: one line for everything that is asked, decided or ended, as it happens.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "cli/commands.h"
#include "cli/events.h"
#include "cli/grants.h"
#include "cli/news.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

// What was told last.
struct Seen {
  std::set<Statement> statements;
  std::map<Digest, GrantState> states;
};

struct Watcher {
  Context& context;
  std::string mine;  // only grants of this person; empty: all
  Seen seen;
  UnixTime next{};  // when something may change by itself

  bool wanted(const Grant& grant) const { return mine.empty() || grant.request->subject == mine; }
};

Json event_json(const Event& event, const Grant* grant, const Workspace& workspace, std::optional<GrantState> was) {
  JsonObject out{{"at", format_time(event.at)}, {"event", event.kind}, {"by", event.by}, {"what", event.what}};
  out.emplace_back("was", was ? Json(to_string(*was)) : Json());
  out.emplace_back("grant", grant == nullptr ? Json() : grant_json(*grant, workspace));
  return out;
}

void say(Watcher& w, const Workspace& workspace, const Event& event, const Grant* grant,
         std::optional<GrantState> was) {
  Output& out = w.context.out();
  if (out.json()) {
    out.line(to_json(event_json(event, grant, workspace, was)));
  } else {
    const Times times = w.context.times();
    std::string text = fmt::format("{}  {}  {}", times.brief(event.at),
                                   out.styled(grant == nullptr ? "-" : grant->id(), Style::bold), event.what);
    if (grant != nullptr) {
      const Judgement& j = grant->overall();
      text += "; " + out.styled(summary(j, times), style_of(j.state));
      if (const std::string hint = what_to_type(*grant, workspace.policy()); !hint.empty()) text += "; " + hint;
    }
    out.line(text);
  }
  std::fflush(stdout);
}

// New statements first, in the order of their times; then what changed without one of its own.
void tell_news(Watcher& w, const Workspace& workspace) {
  const UnixTime now = Context::now();
  w.next = UnixTime::max();
  std::map<Digest, Grant> grants;
  for (Grant& g : view_all(workspace, now)) {
    w.next = std::min(w.next, next_change(g, now));
    if (w.wanted(g)) grants.emplace(g.digest, std::move(g));
  }
  std::vector<Statement> fresh;
  for (const Statement& s : workspace.statements()) {
    if (w.seen.statements.insert(s).second) fresh.push_back(s);
  }
  std::stable_sort(fresh.begin(), fresh.end(), [](const Statement& a, const Statement& b) {
    return std::pair(a.made_at(), a.kind()) < std::pair(b.made_at(), b.kind());
  });
  std::set<Digest> told;
  for (const Statement& s : fresh) {
    const Event event = event_of(s);
    if (!event.grant) {
      if (w.mine.empty() || w.mine == event.by) say(w, workspace, event, nullptr, std::nullopt);
      continue;
    }
    const auto grant = grants.find(*event.grant);
    if (grant == grants.end()) continue;
    const auto was = w.seen.states.find(*event.grant);
    say(w, workspace, event, &grant->second, was == w.seen.states.end() ? std::nullopt : std::optional(was->second));
    told.insert(*event.grant);
  }
  for (const auto& [digest, grant] : grants) {
    const GrantState state = grant.overall().state;
    const auto [was, first] = w.seen.states.emplace(digest, state);
    if (!first && was->second != state && !told.contains(digest)) {
      say(w, workspace,
          {now, "state", "",
           fmt::format("{} by {}: {}", grant.request->runbook, grant.request->subject, to_string(state)), digest},
          &grant, was->second);
    }
    was->second = state;
  }
}

}  // namespace

int cmd_watch(Context& context, const WatchArgs& args) {
  Output& out = context.out();
  auto workspace = context.open_workspace();
  if (!workspace) return out.fail(workspace.error());
  Watcher watcher{context, "", {}, {}};
  if (args.mine) {
    watcher.mine = context.name_if_known(workspace->policy());
    if (watcher.mine.empty())
      return out.fail(Exit::usage, "--mine: who are you? use --as NAME, or write me = \"NAME\" in config.toml");
  }
  const UnixTime now = Context::now();
  watcher.next = UnixTime::max();
  for (const Statement& s : workspace->statements()) watcher.seen.statements.insert(s);
  for (const Grant& g : view_all(workspace.value(), now)) {
    watcher.seen.states.emplace(g.digest, g.overall().state);
    watcher.next = std::min(watcher.next, next_change(g, now));
  }
  out.note(fmt::format("watching {} (Ctrl-C ends it)", workspace->place()));
  News news(context, workspace.value());
  for (;;) {
    if (const auto read = news.wait(workspace.value(), watcher.next); !read) return out.fail(read.error());
    tell_news(watcher, workspace.value());
    // A reader that went away (a pipe into head) is the end of it.
    if (std::ferror(stdout) != 0) return static_cast<int>(Exit::directory);
  }
}

}  // namespace hallpass::cli
