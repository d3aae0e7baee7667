// The sessions of this host: what others ask about them, and of them.
#include <algorithm>

#include "agent/sessions.h"

namespace hallpass {

UnixTime Sessions::next_due() const {
  UnixTime due = UnixTime::max();
  for (const auto& [name, e] : entries_) {
    if (e.ending || e.session.observed) continue;
    due = std::min(due, e.next_warning ? e.deadline.at - *e.next_warning : e.deadline.at);
  }
  return due;
}

std::optional<Milliseconds> Sessions::next_step() const {
  std::optional<Milliseconds> next = visits_next_;
  for (const auto& [name, e] : entries_) {
    if (e.ending && (!next || e.ending->next() < *next)) next = e.ending->next();
    const bool unlimited = e.left_at != Milliseconds{0} && !e.ending && !e.left_limited && !e.session.observed;
    if (unlimited && (!next || e.left_at + kLeftBehindAfter < *next)) next = e.left_at + kLeftBehindAfter;
  }
  return next;
}

std::uint64_t Sessions::not_ended() const {
  return static_cast<std::uint64_t>(std::count_if(entries_.begin(), entries_.end(), [](const auto& named) {
    return named.second.ending && named.second.told_at != Milliseconds{0};
  }));
}

Sessions::State Sessions::state_of(const Entry& e) {
  return e.ending ? State::ending : e.left_behind ? State::left_behind : State::live;
}

Sessions::View Sessions::view_of(const Entry& e) {
  View view{e.session, state_of(e), e.deadline, {}};
  for (const auto& [grant, commands] : e.used) view.used.push_back(grant);
  return view;
}

std::vector<Sessions::View> Sessions::all() const {
  std::vector<View> views;
  for (const auto& [name, e] : entries_) views.push_back(view_of(e));
  return views;
}

std::array<std::size_t, 3> Sessions::by_state() const {
  std::array<std::size_t, 3> counts{};
  for (const auto& [name, e] : entries_) ++counts[static_cast<std::size_t>(state_of(e))];
  return counts;
}

void Sessions::limit_failed(const std::string& id, const std::string& why) {
  for (const auto& [name, e] : entries_) {
    if (e.session.logind != id || e.ending) continue;
    EventFields f = fields(e);
    f.emplace_back("WHY", why);
    seams_.journal->event(Event::session_limit_failed,
                          "systemd keeps no limit for session " + name + " of " + e.session.subject + ": " + why, f);
  }
}

std::optional<Sessions::View> Sessions::find(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return std::nullopt;
  return view_of(found->second);
}

Status Sessions::end(const std::string& name, const std::string& reason) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return Error{Errc::not_found, "there is no session " + name};
  Entry& e = found->second;
  const std::string why = "ended by an operator" + (reason.empty() ? "" : ": " + reason);
  EventFields f = fields(e);
  f.emplace_back("WHY", reason);
  seams_.journal->event(Event::session_end_requested,
                        "an operator ends " + who(e) + (reason.empty() ? "" : ": " + reason), f);
  now_ = seams_.now();
  if (!e.ending) begin(e, why, std::nullopt);
  look();
  return Unit{};
}

}  // namespace hallpass
