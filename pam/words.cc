#include "pam/words.h"

#include "host/spoken_time.h"

namespace hallpass {
namespace {

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
