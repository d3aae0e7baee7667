#include "agent/fetch/report.h"

#include "core/json.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr int kError = 3, kWarning = 4, kNotice = 5;
constexpr std::size_t kShown = 600;

Json time_or_null(const std::optional<UnixTime>& t) {
  return t ? Json(format_time(*t)) : Json();
}

}  // namespace

void FetchReport::success(const std::string& url, bool waits, std::uint64_t size, std::optional<UnixTime> seen_at,
                          bool changed, UnixTime now) {
  if (faults_.erase(url) != 0 || url_ != url) {
    tell_(kNotice, url + ": serves the log, " + std::to_string(size) + " entries" +
                       (waits ? "" : "; it is asked every so often, for it does not wait for news"));
  }
  faults_.erase("");
  if (changed || !changed_at_) changed_at_ = now;
  url_ = url;
  waits_ = waits;
  size_ = size;
  seen_at_ = seen_at;
  checked_at_ = now;
  news_ = true;
}

void FetchReport::fault(const std::string& url, const std::string& what, const std::string& next, UnixTime now) {
  say(kWarning, url, what, url + ": " + what + (next.empty() ? "; trying again later" : "; trying " + next), now);
}

void FetchReport::local_fault(const std::string& what, UnixTime now) {
  say(kError, "", what, what, now);
}

void FetchReport::say(int priority, const std::string& key, const std::string& what, const std::string& text,
                      UnixTime now) {
  Fault& fault = faults_[key];
  fault.at = now;
  news_ = true;
  if (fault.what == what && now - fault.told_at < kSayAgain) return;
  fault.what = what;
  fault.told_at = now;
  tell_(priority, printable(text, kShown));
}

std::string FetchReport::json(std::uint64_t received) const {
  const std::pair<const std::string, Fault>* last = nullptr;
  for (const auto& f : faults_) {
    if (last == nullptr || f.second.at > last->second.at) last = &f;
  }
  Json fault;
  if (last != nullptr) {
    fault = JsonObject{{"url", last->first.empty() ? Json() : Json(last->first)},
                       {"at", Json(format_time(last->second.at))},
                       {"what", Json(printable(last->second.what, kShown))}};
  }
  return to_json(JsonObject{{"hallpass", Json("fetch-status/1")},
                            {"url", url_.empty() ? Json() : Json(url_)},
                            {"waits", Json(waits_)},
                            {"size", Json(static_cast<std::int64_t>(size_))},
                            {"seen_at", time_or_null(seen_at_)},
                            {"checked_at", time_or_null(checked_at_)},
                            {"changed_at", time_or_null(changed_at_)},
                            {"received", Json(static_cast<std::int64_t>(received))},
                            {"fault", std::move(fault)}}) +
         "\n";
}

}  // namespace hallpass
