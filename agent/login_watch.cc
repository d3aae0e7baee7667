#include "agent/login_watch.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "agent/docket.h"
#include "host/paths.h"

namespace hallpass {
namespace {

constexpr Seconds kSlot{10};
constexpr Seconds kAWeek{7 * 24 * 3600};  // no grant lasts longer
constexpr std::size_t kMaxKey = 128;

std::string text(std::string_view value) {
  return std::string(value.substr(0, kMaxKey));
}

}  // namespace

bool Recently::is_new(const std::string& key, Seconds now, Seconds again) {
  const auto found = seen_.find(key);
  if (found != seen_.end() && now - found->second < again) return false;
  if (found == seen_.end() && seen_.size() >= kMaxWatched) {
    seen_.erase(
        std::min_element(seen_.begin(), seen_.end(), [](const auto& a, const auto& b) { return a.second < b.second; }));
  }
  seen_[key] = now;
  return true;
}

std::optional<std::string> request_outside_hours(const Docket& docket, std::string_view subject,
                                                 std::string_view account, UnixTime now) {
  const Grant* newest = nullptr;
  for (const Digest& request : docket.of_subject(subject)) {
    const Grant* g = docket.find(request);
    if (g == nullptr || g->step != Step::hours || g->account != account || g->requested_at + kRememberEnded < now)
      continue;
    if (newest == nullptr || newest->requested_at < g->requested_at) newest = g;
  }
  if (newest == nullptr) return std::nullopt;
  return grant_id(newest->request);
}

bool grant_alerts(const Docket& docket, std::string_view id) {
  return std::any_of(docket.admissions().begin(), docket.admissions().end(),
                     [&](const Admission& a) { return a.id == id && a.alert; });
}

void LoginWatch::take(std::string_view datagram) {
  try {
    look(datagram);
  } catch (...) {  // no memory: the journal has the entry all the same
    return;
  }
}

void LoginWatch::look(std::string_view datagram) {
  const std::optional<ModuleEvent> record = read_module_event(datagram);
  if (!record) return;
  ++counts_[std::string(event_info(record->event).name)];
  // Who hands a grant in gets nothing by it, and it may happen ten times a day: the journal is enough.
  const bool handing_in = record->event == Event::login_exempt && record->field("ACCOUNT") == paths::kDropAccount;
  if (!handing_in) journal_.alert(record->event, record->message, record->fields);
  const Seconds now = seams_.clock().boottime;
  if (record->event == Event::login_refused) refused(*record, now);
  if (record->event == Event::login_admitted || record->event == Event::sudo_allowed) used(*record, now);
}

// How many there are in the window that ends with `now`; what has left it is forgotten.
std::uint32_t LoginWatch::Refused::count(std::int64_t now) {
  if (now - slot >= kSlots) slots.fill(0);
  for (; slot < now; ++slot) slots[static_cast<std::size_t>((slot + 1) % kSlots)] = 0;
  return std::accumulate(slots.begin(), slots.end(), 0U);
}

LoginWatch::Refused& LoginWatch::refused_of(const std::string& account, std::int64_t slot) {
  const auto found = refused_.find(account);
  if (found != refused_.end()) return found->second;
  if (refused_.size() >= kMaxWatched) {
    refused_.erase(std::min_element(refused_.begin(), refused_.end(),
                                    [](const auto& a, const auto& b) { return a.second.slot < b.second.slot; }));
  }
  Refused& made = refused_[account];
  made.slot = slot;
  return made;
}

void LoginWatch::refused(const ModuleEvent& login, Seconds now) {
  const std::string account = text(login.field("ACCOUNT")), subject = text(login.field("SUBJECT"));
  const std::string from = text(login.field("RHOST"));
  if (account.empty()) return;
  const std::int64_t slot = now / kSlot;
  Refused& r = refused_of(account, slot);
  r.count(slot);
  std::uint32_t& newest = r.slots[static_cast<std::size_t>(slot % kSlots)];
  if (newest < std::numeric_limits<std::uint32_t>::max() / kSlots) ++newest;
  const std::uint32_t count = r.count(slot);
  if (refused_logins_ > 0 && count >= static_cast<std::uint32_t>(refused_logins_) &&
      told_often_.is_new(account, now, kRefusedWindow)) {
    journal_.event(Event::logins_refused_often,
                   std::to_string(count) + " logins to " + account + " were refused within ten minutes",
                   {{"ACCOUNT", account}, {"COUNT", std::to_string(count)}, {"RHOST", from}});
  }
  if (subject.empty() || !seams_.outside_hours) return;
  const std::optional<std::string> grant = seams_.outside_hours(subject, account);
  if (!grant || !told_hours_.is_new(*grant, now, kRefusedWindow)) return;
  journal_.event(Event::login_outside_hours,
                 subject + " tried to log in to " + account + " outside the hours of a rule",
                 {{"SUBJECT", subject}, {"ACCOUNT", account}, {"GRANT", *grant}, {"RHOST", from}});
}

// Once for logins under a grant, and once for sudo in each session.
void LoginWatch::used(const ModuleEvent& record, Seconds now) {
  const std::string grant = text(record.field("GRANT")), subject = text(record.field("SUBJECT"));
  const std::string session = text(record.field("SESSION"));
  if (grant.empty() || !seams_.alerts || !seams_.alerts(grant)) return;
  const bool sudo = record.event == Event::sudo_allowed;
  if (!told_used_.is_new(grant + (sudo ? " " + session : ""), now, kAWeek)) return;
  const std::string account = text(record.field("ACCOUNT")), runbook = text(record.field("RUNBOOK"));
  const std::string reason(record.field("REASON"));
  journal_.event(Event::alert_grant_used,
                 subject + " uses " + runbook + " on " + account + (sudo ? ", with sudo" : "") + ": " + reason,
                 {{"GRANT", grant},
                  {"SUBJECT", subject},
                  {"ACCOUNT", account},
                  {"RUNBOOK", runbook},
                  {"REASON", reason},
                  {"TICKET", text(record.field("TICKET"))},
                  {"SESSION", session},
                  {"RHOST", text(record.field("RHOST"))}});
}

}  // namespace hallpass
