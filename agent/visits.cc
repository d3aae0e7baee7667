#include "agent/visits.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <string_view>
#include <system_error>

#include "core/edge/files.h"
#include "core/values/text.h"
#include "host/clock.h"

namespace hallpass {
namespace {

constexpr std::size_t kMostBytes = 64 << 20;
constexpr std::string_view kEnd = ".json";
constexpr Milliseconds kLookAgain{1000};
constexpr Milliseconds kGap{5000};  // not called for so long: it was called off meanwhile

std::string boot_id() {
  const ClockReading reading = read_clock();
  return {reading.boot_id.data(), reading.boot_id.size()};
}

// An account's name as a file's. The snapshot has only such; what does not fit here reaches no path.
bool fits(const std::string& account) {
  return !account.empty() && account.size() <= 200 && account.front() != '.' &&
         account.find('/') == std::string::npos && account.find('\0') == std::string::npos;
}

std::vector<std::string> accounts_in(const std::string& directory) {
  std::vector<std::string> accounts;
  DIR* d = ::opendir(directory.c_str());
  if (d == nullptr) return accounts;
  const std::unique_ptr<DIR, int (*)(DIR*)> owner(d, ::closedir);
  while (const dirent* entry = ::readdir(d)) {
    const std::string_view name = entry->d_name;
    if (name.size() <= kEnd.size() || name.substr(name.size() - kEnd.size()) != kEnd) continue;
    std::string account(name.substr(0, name.size() - kEnd.size()));
    if (fits(account)) accounts.push_back(std::move(account));
  }
  std::sort(accounts.begin(), accounts.end());
  return accounts;
}

void flush_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

std::uint64_t ticks(const std::string& text) {
  std::uint64_t n = 0;
  std::from_chars(text.data(), text.data() + text.size(), n);
  return n;
}

}  // namespace

Visits::Visits(Places places, SessionHost& host, Journal& journal)
    : places_(std::move(places)), host_(host), journal_(journal), alarm_(journal) {
  if (places_.boot.empty()) places_.boot = boot_id();
}

// --- files

void Visits::load() {
  for (const std::string& account : accounts_in(places_.visits)) load_one(account);
}

void Visits::load_one(const std::string& account) {
  const auto text = read_file(AT_FDCWD, path_of(account), kMostBytes);
  if (!text) return set_aside(account, text.error().message);
  auto visit = decode_visit(*text);
  if (!visit) return set_aside(account, visit.error().message);
  if (visit->account != account) return set_aside(account, "it is a record of " + printable(visit->account));
  Entry& e = entries_[account];
  e.visit = std::move(*visit);
  e.saved = true;
}

// What takes its place says that nothing is known, so that another restart does not take the visitors' things for
// older.
void Visits::set_aside(const std::string& account, const std::string& why) {
  const std::string path = path_of(account);
  static_cast<void>(::rename(path.c_str(), (path + ".damaged").c_str()));  // or it is replaced below
  Entry& e = entries_[account];
  e.visit.account = account;
  e.visit.known = false;
  e.visit.uid = static_cast<uid_t>(-1);  // until a session says it
  save(e);
  journal_.event(Event::visit_damaged, "the record of the visit to " + account + " cannot be used: " + why,
                 {{"ACCOUNT", account}, {"FILE", path + ".damaged"}, {"WHY", why}});
}

bool Visits::save(Entry& e) {
  if (::mkdir(places_.visits.c_str(), 0700) == 0) flush_directory(places_.visits + "/..");
  const Status written = write_file_durably(path_of(e.visit.account), encode_visit(e.visit), 0600);
  e.saved = written.has_value();
  if (e.saved) {
    alarm_.worked();
  } else {
    alarm_.failed(written.error().message, std::chrono::duration_cast<Seconds>(host_.uptime()));
  }
  return e.saved;
}

// A record that came back would make old what is the next visitor's, and the other way round.
bool Visits::close(const std::string& account) {
  const std::string path = path_of(account);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    alarm_.failed("removing " + path + ": " + std::generic_category().message(errno),
                  std::chrono::duration_cast<Seconds>(host_.uptime()));
    return false;
  }
  flush_directory(places_.visits);
  alarm_.worked();
  entries_.erase(account);
  return true;
}

// --- beginning

void Visits::session_began(const Session& session, bool personal) {
  if (!fits(session.account)) return;
  const std::uint64_t start = ticks(session.leader_start);
  const auto found = entries_.find(session.account);
  if (found == entries_.end()) return begin(session, personal, start);
  Entry& e = found->second;
  stop_ending(e);
  const bool knew_uid = e.visit.uid == session.uid;
  if (e.over || (e.visit.known && !knew_uid)) {  // over but for its file; or another account of the same name
    entries_.erase(found);
    return begin(session, personal, start);
  }
  const bool less_personal = e.visit.personal && !personal;
  const bool earlier = e.visit.known && e.visit.boot == places_.boot && start < e.visit.start;
  e.visit.uid = session.uid;
  e.visit.personal = e.visit.personal && personal;
  if (earlier) e.visit.move_back(start, wall_start(host_, start));
  if (!knew_uid || less_personal || earlier || !e.saved) save(e);
}

void Visits::begin(const Session& session, bool personal, std::uint64_t start) {
  Entry& e = entries_[session.account];
  Visit& v = e.visit;
  v.account = session.account;
  v.uid = session.uid;
  v.personal = personal;
  v.subject = session.subject;
  v.grant_id = session.grant_id;
  v.boot = places_.boot;
  v.start = start;
  v.began = wall_start(host_, start);
  // A session that has no audit session id of its own is on a machine where ids tell nobody from another.
  take_stock(v, places_, host_, session.audit != kNoAudit);
  save(e);
}

void Visits::session_over(const Session& session, bool /*personal*/, const std::set<std::uint32_t>& audits) {
  const auto found = entries_.find(session.account);
  if (found == entries_.end() || found->second.visit.personal || !found->second.visit.known) return;
  Entry& e = found->second;
  if (e.looked && host_.uptime() < *e.looked + kLookAgain) return;
  e.looked = host_.uptime();
  tell_left(e, audits);
}

std::vector<std::string> Visits::open() const {
  std::vector<std::string> accounts;
  for (const auto& [account, e] : entries_) accounts.push_back(account);
  return accounts;
}

// --- ending

// Somebody is there again. What was ended so far is told; the rest is looked for at the next end.
void Visits::stop_ending(Entry& e) {
  if (e.ending) tell_cleaned(e);
  e.ending.reset();
  e.told.reset();
}

Milliseconds Visits::again(const std::string& account) const {
  const auto found = entries_.find(account);
  const bool door = found != entries_.end() && found->second.ending && found->second.ending->waits_for_door();
  return door ? kAgainAtDoor : kAgain;
}

bool Visits::end(const std::string& account, UnixTime /*now*/) {
  const auto found = entries_.find(account);
  if (found == entries_.end()) return true;
  Entry& e = found->second;
  if (e.over) return close(account);
  if (!e.visit.known || !e.visit.personal) {
    if (!e.visit.known) tell_unknown(e);
    if (e.visit.known) tell_left(e, {});
    e.over = true;
    return close(account);
  }
  const Milliseconds now = host_.uptime();
  if (e.ending && now >= e.stepped + kGap) stop_ending(e);
  if (!e.ending) e.ending = std::make_unique<VisitEnding>(e.visit, places_, host_, places_.boot);
  e.stepped = now;
  if (!e.saved && Seconds(alarm_.retry_at()) <= now) save(e);
  if (!e.ending->step()) {
    tell_not_cleaned(e);
    return false;
  }
  tell_crontabs(e);
  tell_cleaned(e);
  tell_in_doubt(e);
  e.over = true;
  return close(account);
}

}  // namespace hallpass
