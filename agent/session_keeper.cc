#include "agent/session_keeper.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "core/edge/files.h"
#include "host/clock.h"

namespace hallpass {
namespace {

constexpr char kLogindSessions[] = "/run/systemd/sessions";
constexpr Milliseconds kFirstPause{250}, kLastPause{4000};
// Users for whom we have forbidden a user manager: what an earlier configuration did is taken back by this.
constexpr char kForbidden[] = "/run/hallpass/without-user-manager";

std::set<uid_t> forbidden_before() {
  std::set<uid_t> uids;
  const Result<std::string> text = read_file(AT_FDCWD, kForbidden, std::size_t{64} * 1024);
  std::istringstream words(text ? *text : "");
  for (uid_t uid = 0; words >> uid;) uids.insert(uid);
  return uids;
}

// Of a session's connection, as logind heard it from sshd.
std::string remote_host(const std::string& logind) {
  char* host = nullptr;
  if (sd_session_get_remote_host(logind.c_str(), &host) < 0) return "";
  std::string text = host;
  std::free(host);
  return text;
}

}  // namespace

SessionKeeper::SessionKeeper(sd_event* event, const Layout& layout, Journal& journal, std::function<Agent&()> agent,
                             std::function<void()> due_moved)
    : event_(event), layout_(layout), journal_(journal), agent_(std::move(agent)), due_moved_(std::move(due_moved)) {
  host_ = std::make_unique<LinuxHost>(
      event_, [this](const std::string& id, const std::string& why) { sessions_->limit_failed(id, why); });
  Visits::Places places;
  places.visits = layout_.visits();
  visits_ = std::make_unique<Visits>(places, *host_, journal_);
  sessions_ = std::make_unique<Sessions>(seams(), agent_().config().warn);
}

SessionKeeper::~SessionKeeper() {
  sd_event_source_disable_unref(changes_);
  sd_event_source_disable_unref(step_);
  if (inotify_ >= 0) close(inotify_);
}

Sessions::Seams SessionKeeper::seams() {
  Sessions::Seams s;
  s.host = host_.get();
  s.journal = &journal_;
  s.visits = visits_.get();
  s.registry = layout_.sessions();
  s.host_name = agent_().config().host.name;
  s.now = [this] { return agent_().clock().read_now(); };
  s.powers = [this](const std::string& account, const std::string& subject) { return powers(account, subject); };
  s.anyone_admitted = [this](const std::string& account) { return agent_().anyone_admitted(account); };
  s.personal = [this](const std::string& a, const std::string& subject) { return agent_().personal(a, subject); };
  s.how_over = [this](const Digest& grant) { return agent_().how_over(grant); };
  s.runbook = [this](const Digest& grant) { return agent_().runbook_of(grant); };
  return s;
}

std::vector<Power> SessionKeeper::powers(const std::string& account, const std::string& subject) const {
  std::vector<Power> found;
  for (const Admission* a : agent_().admitting(account, subject))
    found.push_back({a->grant, a->start, a->end, &a->commands});
  return found;
}

// One notification for all: what changed is found by looking.
void SessionKeeper::watch(const std::string& directory) {
  inotify_add_watch(inotify_, directory.c_str(), IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR);
}

void SessionKeeper::start() {
  mkdir(layout_.sessions().c_str(), 0700);
  inotify_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  watch(layout_.sessions());
  watch(kLogindSessions);
  sd_event_add_io(event_, &changes_, inotify_, EPOLLIN, on_change, this);
  sd_event_add_time(event_, &step_, CLOCK_BOOTTIME, 0, 1, on_step, this);
  sd_event_source_set_enabled(step_, SD_EVENT_OFF);
  visits_->load();
  configure();
  sessions_->start();
  tell_of_alerting_grants();
  arm();
}

// Whoever logged in while no agent ran was told to nobody.
void SessionKeeper::tell_of_alerting_grants() {
  std::set<Digest> told;
  for (const Sessions::View& view : sessions_->all()) {
    for (const Admission* a : agent_().admitting(view.session.account, view.session.subject)) {
      if (!a->alert || !(a->grant == view.session.grant) || !told.insert(a->grant).second) continue;
      journal_.event(Event::alert_grant_used,
                     a->subject + " uses grant " + a->id + " (" + a->runbook + "): " + a->reason,
                     {{"GRANT", a->id},
                      {"SUBJECT", a->subject},
                      {"ACCOUNT", a->account},
                      {"RUNBOOK", a->runbook},
                      {"REASON", a->reason}});
    }
  }
}

void SessionKeeper::configure() {
  const HostConfig& config = agent_().config();
  sessions_->set_warnings(config.warn);
  std::set<uid_t> wanted;
  for (const std::string& account : config.without_user_manager) {
    if (const passwd* user = getpwnam(account.c_str()); user != nullptr && user->pw_uid != 0)
      wanted.insert(user->pw_uid);
  }
  const std::set<uid_t> before = forbidden_before();
  for (const uid_t uid : before) {
    if (wanted.count(uid) == 0) host_->forbid_user_manager(uid, false);
  }
  for (const uid_t uid : wanted) host_->forbid_user_manager(uid, true);
  if (wanted == before) return;
  std::string text;
  for (const uid_t uid : wanted) text += std::to_string(uid) + "\n";
  [[maybe_unused]] const Status kept = write_file_durably(kForbidden, text, 0644);
}

void SessionKeeper::look() {
  sessions_->look();
  arm();
}

void SessionKeeper::minute() {
  watch(layout_.sessions());  // another directory may stand there by now
  watch(kLogindSessions);
  sessions_->minute();
  arm();
}

void SessionKeeper::arm() {
  auto next = sessions_->next_step();
  if (again_ && (!next || *again_ < *next)) next = again_;
  if (next) sd_event_source_set_time(step_, static_cast<std::uint64_t>(next->count()) * 1000);
  sd_event_source_set_enabled(step_, next ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
  due_moved_();
}

int SessionKeeper::on_change(sd_event_source*, int fd, std::uint32_t, void* p) {
  alignas(inotify_event) std::array<char, 4096> buffer{};
  while (read(fd, buffer.data(), buffer.size()) > 0) continue;
  auto& keeper = *static_cast<SessionKeeper*>(p);
  // logind notes a logout while sshd has yet to exit, and nothing tells when it has: looked at again a few times.
  keeper.pause_ = kFirstPause;
  keeper.again_ = keeper.host_->uptime() + kFirstPause;
  keeper.look();
  return 0;
}

int SessionKeeper::on_step(sd_event_source*, std::uint64_t, void* p) {
  auto& keeper = *static_cast<SessionKeeper*>(p);
  if (const Milliseconds now = keeper.host_->uptime(); keeper.again_ && *keeper.again_ <= now) {
    keeper.pause_ *= 4;
    keeper.again_ = keeper.pause_ > kLastPause ? std::nullopt : std::optional(now + keeper.pause_);
  }
  keeper.look();
  return 0;
}

// --- what people ask

std::string SessionKeeper::host() const {
  return agent_().config().host.name;
}

UnixTime SessionKeeper::now() const {
  return agent_().clock().read_now();
}

std::vector<SessionFacts> SessionKeeper::all() const {
  std::vector<SessionFacts> found;
  for (const Sessions::View& view : sessions_->all()) {
    found.push_back(facts(view));
    found.back().from = remote_host(view.session.logind);
  }
  return found;
}

std::optional<SessionFacts> SessionKeeper::named(const std::string& name) const {
  const std::optional<Sessions::View> view = sessions_->find(name);
  if (!view) return std::nullopt;
  return facts(*view);
}

SessionFacts SessionKeeper::facts(const Sessions::View& view) const {
  SessionFacts f;
  f.session = view.session;
  const auto start = static_cast<long long>(std::strtoull(view.session.leader_start.c_str(), nullptr, 10));
  const Seconds age{host_->uptime().count() / 1000 - start / host_->ticks_per_second()};
  f.since = read_clock().wall - age;
  if (view.deadline.at > UnixTime{}) f.ends = view.deadline.at;
  if (!(view.deadline.grant == Digest{})) f.ends_with = grant_id(view.deadline.grant);
  f.by_use = view.deadline.by_use;
  for (const Digest& grant : view.used) f.used.push_back(grant_id(grant));
  f.state = view.state == Sessions::State::ending        ? SessionFacts::State::ending
            : view.state == Sessions::State::left_behind ? SessionFacts::State::left_behind
                                                         : SessionFacts::State::live;
  return f;
}

std::vector<GrantFacts> SessionKeeper::grants(const Session& session) const {
  std::vector<GrantFacts> found;
  const UnixTime at = now();
  const std::optional<Sessions::View> view = sessions_->find(session_name(session));
  for (const Admission* a : agent_().admitting(session.account, session.subject)) {
    if (a->start > at || at >= a->end) continue;
    const bool used = view && std::find(view->used.begin(), view->used.end(), a->grant) != view->used.end();
    found.push_back({a->id, a->runbook, a->reason, a->ticket, a->end, used, a->commands});
  }
  return found;
}

Status SessionKeeper::give_back(const Session& session) {
  const Status given = agent_().give_back(session.account, session.subject);
  look();
  return given;
}

Status SessionKeeper::end(const Session& session, const std::string& reason) {
  const Status begun = sessions_->end(session_name(session), reason);
  arm();
  return begun;
}

}  // namespace hallpass
