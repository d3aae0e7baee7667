#include "pam/words.h"

#include <ctime>

namespace hallpass {
namespace {

std::string length_of(Seconds d) {
  const auto s = d.count();
  if (s < 60) return std::to_string(s) + "s";
  if (s < 3600) return std::to_string(s / 60) + "m";
  if (s < 86400) return std::to_string(s / 3600) + "h" + std::to_string(s / 60 % 60) + "m";
  return std::to_string(s / 86400) + "d" + std::to_string(s / 3600 % 24) + "h";
}

// "14:32 UTC", with the date when that is not today.
std::string clock_of(UnixTime t, UnixTime now) {
  const time_t at = static_cast<time_t>(to_unix(t)), today = static_cast<time_t>(to_unix(now));
  tm local{}, local_now{};
  char text[64];
  if (localtime_r(&at, &local) == nullptr || localtime_r(&today, &local_now) == nullptr) return utc_text(t);
  const bool same_day = local.tm_yday == local_now.tm_yday && local.tm_year == local_now.tm_year;
  const std::size_t n = strftime(text, sizeof text, same_day ? "%H:%M %Z" : "%Y-%m-%d %H:%M %Z", &local);
  return {text, n};
}

std::string what_to_type(std::string_view host, const WaitingView& w) {
  if (w.runbooks.empty()) return "\nThe policy has no runbook that lets " + std::string(w.subject) + " ask for this.";
  std::string out = "\nTo ask: hallpass request " + std::string(w.runbooks[0]) + " --target host=" + std::string(host) +
                    " --reason \"...\"";
  for (std::size_t i = 1; i < w.runbooks.size(); ++i) {
    out += (i == 1 ? "\nOther runbooks: " : ", ") + std::string(w.runbooks[i]);
  }
  return out;
}

// A detail may say the state itself: "revoked by bob: done", "ended at 2026-11-21T07:30:00Z", "was not approved in
// time".
std::string state_of(const WaitingView& w, UnixTime now) {
  const auto begins = [&](std::string_view start) { return w.detail.substr(0, start.size()) == start; };
  const std::string said(w.detail), state(w.state), detail = said.empty() || begins("ended at ") ? "" : ": " + said;
  if (begins("denied by ") || begins("revoked by ")) return " was " + said;
  if (begins("was ")) return " " + said;
  if (state == "pending" && w.at > now)
    return " starts at " + clock_of(w.at, now) + " (in " + length_of(w.at - now) + ")";
  if (state == "pending") return " is not active yet" + detail;
  if (state != "ended") return (state == "void" ? " is " : " was ") + state + detail;
  if (w.at == UnixTime{} || w.at > now) return " ended" + detail;
  return " ended " + length_of(now - w.at) + " ago (" + clock_of(w.at, now) + ")" + detail;
}

}  // namespace

std::string utc_text(UnixTime t) {
  const time_t at = static_cast<time_t>(to_unix(t));
  tm utc{};
  char text[64];
  if (gmtime_r(&at, &utc) == nullptr) return {};
  const std::size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {text, n};
}

std::string admitted_words(std::string_view host, const AdmissionView& a, UnixTime now) {
  return "hallpass: " + std::string(a.subject) + " may use " + std::string(host) + " as " + std::string(a.account) +
         " until " + clock_of(a.end, now) + " (" + length_of(a.end - now) + " left), grant " + std::string(a.id) +
         " (" + std::string(a.runbook) + ")";
}

std::string waiting_words(std::string_view host, const WaitingView& w, UnixTime now) {
  const std::string place = " for " + std::string(host) + " as " + std::string(w.account);
  const std::string start = "hallpass: " + std::string(w.subject);
  if (w.state == "none" || w.state.empty()) return start + " has no grant" + place + what_to_type(host, w);
  const std::string grant = start + "'s grant " + std::string(w.id) + place + state_of(w, now);
  if (w.state != "pending") return grant + what_to_type(host, w);
  return w.at > now ? grant : grant + "\nAn approver types: hallpass approve " + std::string(w.id);
}

std::string store_words(std::string_view what) {
  return "hallpass: this host cannot tell who may log in: " + std::string(what) +
         ".\nThat says nothing about your grants. Tell those who run this host: systemctl status hallpass-agent";
}

}  // namespace hallpass
