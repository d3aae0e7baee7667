// The agent's clock: `now` to judge by, a lower bound that it trusts, and the floor that may only rise
// (docs/architecture.md, "Clock").
//
// Two answers to "what time is it", because the wall clock can be wrong in both directions:
//   now()      never earlier than the floor. Admissions are judged by it: a clock set back revives nothing.
//   trusted()  what the floor and the time since boot prove has passed. Only by it does "ended" become final: a clock
//   set forward by
//              mistake ends grants for as long as it is wrong, and locks nobody out for good.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <utility>

#include "core/values/time.h"
#include "host/clock.h"

namespace hallpass {

using ClockSource = std::function<ClockReading()>;

// What of the clock survives a restart (kept in the ledger).
struct ClockMemory {
  ClockFloor floor;
  ClockFloor boot_start;  // the floor as it was when this boot began
  std::array<char, 36>
      synchronised_boot{};  // boot id of the last boot in which the kernel's clock was synchronised or accepted
};

class Timekeeper {
 public:
  Timekeeper(ClockSource source, ClockMemory memory);

  // Reads the clock and raises the floor as far as it may rise. `accepted`: an operator vouches for the wall clock.
  void tick(bool accepted = false);

  // Others have seen this moment, so it is not earlier than that: raises the floor of a host whose own clock nobody
  // vouches for, as far as the floor may rise.
  void vouch(UnixTime witnessed);

  UnixTime now() const { return now_; }
  // The same at this moment: now() is as old as the last tick, up to a minute.
  UnixTime read_now() const { return effective_now(source_(), memory_.floor); }
  UnixTime trusted() const { return trusted_; }
  bool synchronised() const { return reading_.synchronised; }
  bool synchronised_this_boot() const { return memory_.synchronised_boot == reading_.boot_id; }
  bool limited() const { return limited_; }  // the floor lags behind a wall clock that this host cannot vouch for
  // The wall clock moved against the time since boot by more than a second since the tick before.
  bool stepped() const { return stepped_; }
  // By how much it moved so since the last call.
  Seconds take_steps() { return std::exchange(steps_, Seconds{0}); }
  const ClockReading& reading() const { return reading_; }
  const ClockMemory& memory() const { return memory_; }
  // `now` runs ahead of the wall clock: timers that wait for it must not use the wall clock.
  bool floor_decides() const { return now_ > reading_.wall; }

 private:
  void begin_boot();
  UnixTime certain() const;
  void settle();

  ClockSource source_;
  ClockMemory memory_;
  ClockReading reading_;
  UnixTime now_{}, trusted_{};
  bool limited_ = false, stepped_ = false;
  Seconds steps_{0};
};

}  // namespace hallpass
