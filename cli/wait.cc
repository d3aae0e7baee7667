// `request --wait`: stays until the grant is decided.
#include <fmt/core.h>

#include <algorithm>

#include "cli/commands.h"
#include "cli/grants.h"
#include "cli/news.h"

namespace hallpass::cli {
namespace {

bool decided(const Grant& grant) {
  return std::none_of(grant.answers.begin(), grant.answers.end(),
                      [](const HostsJudged& a) { return a.judgement.state == GrantState::pending; }) ||
         grant.overall().state == GrantState::active;
}

int tell(Context& context, const Workspace& workspace, const Grant& grant) {
  Output& out = context.out();
  out.progress({});
  const bool active = grant.overall().state == GrantState::active;
  if (out.json()) {
    out.json(grant_json(grant, workspace));
  } else {
    for (const std::string& line : answer_lines(grant, context.times()))
      out.line(fmt::format("{}: {}", grant.id(), line));
    if (active) {
      const auto& hosts = grant.answers.front().hosts;
      out.line(fmt::format("next: ssh {}@{}", grant.overall().account, hosts.size() == 1 ? hosts.front() : "HOST"));
    }
  }
  return static_cast<int>(active ? Exit::ok : Exit::refused);
}

}  // namespace

int wait_for_decision(Context& context, Workspace& workspace, const Digest& digest, UnixTime deadline) {
  Output& out = context.out();
  News news(context, workspace);
  // Since it was read somebody may have answered already.
  if (const auto read = context.on_hub() ? Status(Unit{}) : workspace.reload(); !read) return out.fail(read.error());
  for (;;) {
    if (workspace.request(digest) == nullptr) {
      return out.fail(Exit::directory,
                      fmt::format("the request is no longer in {}; somebody removed its file", workspace.place()));
    }
    const UnixTime now = Context::now();
    const Grant grant = view_grant(workspace, digest, now);
    if (decided(grant)) return tell(context, workspace, grant);
    if (now >= deadline) {
      out.progress({});
      return out.fail(Exit::refused, fmt::format("not decided in time; {}: {}", grant.id(),
                                                 summary(grant.overall(), context.times())));
    }
    out.progress(fmt::format("{} {} (Ctrl-C stops waiting, not the request)", grant.id(),
                             summary(grant.overall(), context.times())));
    const UnixTime until = std::min(next_change(grant, now), deadline);
    if (const auto read = news.wait(workspace, until); !read) return out.fail(read.error());
  }
}

}  // namespace hallpass::cli
