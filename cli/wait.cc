// Waiting for a decision, and delivering statements: what request, approve, deny and revoke share.
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "cli/grants.h"
#include "core/edge/files.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr int kPollMs = 1000;  // also the longest that a directory without inotify (network file systems) goes unread

// Sleeps until something in the directory changes, at most a second.
class Watch {
 public:
  explicit Watch(const std::string& dir) : fd_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    if (fd_ >= 0) inotify_add_watch(fd_, dir.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE);
  }
  ~Watch() {
    if (fd_ >= 0) close(fd_);
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  void sleep() const {
    pollfd waiting{fd_, POLLIN, 0};
    if (poll(&waiting, fd_ >= 0 ? 1 : 0, kPollMs) <= 0) return;
    std::array<char, 4096> events{};
    while (read(fd_, events.data(), events.size()) > 0) {
    }
  }

 private:
  int fd_;
};

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
  const Watch watch(workspace.dir());
  for (;;) {
    if (const auto read = workspace.reload(); !read) return out.fail(read.error());
    if (workspace.request(digest) == nullptr) {
      return out.fail(Exit::directory,
                      fmt::format("the request is no longer in {}; somebody removed its file", workspace.dir()));
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
    watch.sleep();
  }
}

int deliver(Context& context, Workspace& workspace, const std::vector<Statement>& statements, const Statement& added,
            const std::string& output, std::string* name) {
  Output& out = context.out();
  if (output.empty()) {
    // A grant that came as a file may not be in the directory at all: a decision alone would be about nothing there.
    for (const Statement& s : statements) {
      if (s == added || workspace.holds(s)) continue;
      if (const auto written = workspace.publish(s); !written) return out.fail(written.error());
    }
    const auto written = workspace.publish(added);
    if (!written) return out.fail(written.error());
    *name = written.value();
    return 0;
  }
  std::string lines;
  for (const Statement& s : statements) lines += s.envelope() + "\n";
  *name = output;
  if (output == "-") {
    fmt::print("{}", lines);
    return 0;
  }
  const auto written = create_file_durably(output, lines, 0644);
  if (!written) return out.fail(written.error());
  out.note(fmt::format("written to {}", printable(output)));
  return 0;
}

}  // namespace hallpass::cli
