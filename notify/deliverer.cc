#include "notify/deliverer.h"

#include <algorithm>

namespace hallpass {
namespace {

constexpr Seconds kLongSleep{60};
constexpr Seconds kPause{1};
constexpr int kError = 3;

}  // namespace

Deliverer::Deliverer(Spool& spool, std::vector<Lane> lanes, Tell tell, Open open)
    : spool_(spool), tell_(std::move(tell)), open_(std::move(open)) {
  for (Lane& lane : lanes) states_.push_back({std::move(lane), std::nullopt, std::nullopt, {}});
}

void Deliverer::open_lanes() {
  if (!open_) return;
  for (const std::string& name : spool_.waited_for()) {
    const bool there = std::any_of(states_.begin(), states_.end(), [&](const State& s) { return s.lane.name == name; });
    if (there) continue;
    if (std::optional<Lane> lane = open_(name)) {
      states_.push_back({std::move(*lane), std::nullopt, std::nullopt, {}});
    }
  }
}

void Deliverer::step(Moment now, bool ending) {
  for (State& state : states_) {
    if (state.carried && !state.decided) collect(state, now);
    if (state.decided) settle(state, now);
    if (!state.carried && !ending) begin(state, now);
  }
}

void Deliverer::collect(State& state, Moment now) {
  const std::optional<Outcome> outcome = state.lane.receiver->outcome(now);
  if (!outcome) return;
  const std::size_t waits = spool_.waiting(state.lane.name);
  state.decided = state.lane.courier.ended(*outcome, now, waits > 0 ? waits - 1 : 0);
}

// What a receiver has taken is never given to it again while this program lives, also when the disk does not let it be
// written down.
void Deliverer::settle(State& state, Moment now) {
  if (now < state.pause) return;
  Status written = Unit{};
  if (*state.decided == Courier::Next::done) written = spool_.delivered(state.carried->number, state.lane.name);
  if (*state.decided == Courier::Next::reject) written = spool_.reject(*state.carried, state.lane.name);
  if (!written) {
    trouble(state, now, written.error().message);
    return;
  }
  told_.clear();
  state.decided.reset();
  state.carried.reset();
}

void Deliverer::begin(State& state, Moment now) {
  if (now < state.pause || now < state.lane.courier.not_before()) return;
  const std::optional<std::uint64_t> number = spool_.next(state.lane.name);
  if (!number || !state.lane.receiver->ready()) return;
  Result<QueuedDocument> document = spool_.read(*number);
  if (!document) {
    const Error& fault = document.error();
    if (fault.code == Errc::unavailable) return trouble(state, now, fault.message);
    const Status gone =
        fault.code == Errc::not_found ? spool_.delivered(*number, state.lane.name) : spool_.set_aside(*number);
    if (!gone) return trouble(state, now, gone.error().message);
    if (fault.code != Errc::not_found) {
      tell_(kError, "what lies in the queue as number " + std::to_string(*number) +
                        " is no alert and no notice and was set aside in rejected/: " + fault.message);
    }
    return;
  }
  state.carried = std::move(*document);
  const Status begun = state.lane.receiver->begin(*state.carried, now);
  if (begun) return;
  const bool never = begun.error().code == Errc::malformed;
  state.decided = state.lane.courier.ended(
      {never ? Outcome::Kind::refused : Outcome::Kind::failed, begun.error().message, std::nullopt}, now,
      spool_.waiting(state.lane.name) - 1);
  settle(state, now);
}

void Deliverer::trouble(State& state, Moment now, const std::string& what) {
  state.pause = now + kPause;
  if (what == told_) return;
  told_ = what;
  tell_(kError, what + "; it is tried again every second");
}

Moment Deliverer::next_step(Moment now) const {
  Moment at = now + kLongSleep;
  for (const State& state : states_) {
    if (state.decided) {
      at = std::min(at, state.pause);
    } else if (state.carried) {
      at = std::min(at, state.lane.receiver->look_again());
    } else if (state.lane.receiver->ready() && spool_.next(state.lane.name)) {
      at = std::min(at, std::max(state.pause, state.lane.courier.not_before()));
    }
  }
  return at;
}

bool Deliverer::busy() const {
  return std::any_of(states_.begin(), states_.end(), [](const State& s) { return s.carried.has_value(); });
}

}  // namespace hallpass
