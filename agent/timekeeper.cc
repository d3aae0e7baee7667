#include "agent/timekeeper.h"

#include <algorithm>

namespace hallpass {

Timekeeper::Timekeeper(ClockSource source, ClockMemory memory) : source_(std::move(source)), memory_(memory) {
  reading_ = source_();
  tick();
}

// A floor of an earlier boot says nothing about the time in between, but this boot has lasted `boottime` on top of it.
void Timekeeper::begin_boot() {
  if (memory_.boot_start.boot_id == reading_.boot_id) return;
  memory_.boot_start = ClockFloor{memory_.floor.wall, Seconds{0}, reading_.boot_id};
}

// The floor, and the time that has passed since by this boot's own count.
UnixTime Timekeeper::certain() const {
  if (memory_.floor.wall == UnixTime{}) return {};
  if (same_boot(reading_, memory_.floor)) {
    return memory_.floor.wall + std::max(reading_.boottime - memory_.floor.boottime, Seconds{0});
  }
  if (same_boot(reading_, memory_.boot_start))
    return std::max(memory_.floor.wall, memory_.boot_start.wall + reading_.boottime);
  return memory_.floor.wall;
}

void Timekeeper::tick(bool accepted) {
  const ClockReading before = reading_;
  reading_ = source_();
  const Seconds drift = (reading_.wall - before.wall) - (reading_.boottime - before.boottime);
  stepped_ = drift > Seconds{1} || drift < Seconds{-1};
  if (stepped_) steps_ += drift;
  begin_boot();
  // A host that has never had a floor believes its first synchronised clock: there is nothing to compare it with.
  const bool first = memory_.floor.wall == UnixTime{} && reading_.synchronised;
  const FloorStep step = raise_floor(memory_.floor, memory_.boot_start, reading_, accepted || first);
  memory_.floor = step.floor;
  limited_ = step.limited;
  if (accepted || first) {
    // The limit counts from what was vouched for.
    memory_.boot_start = memory_.floor;
  }
  if (accepted || reading_.synchronised) memory_.synchronised_boot = reading_.boot_id;
  settle();
}

void Timekeeper::vouch(UnixTime witnessed) {
  if (reading_.synchronised || witnessed <= certain()) return;
  ClockReading seen = reading_;
  seen.wall = witnessed;
  seen.synchronised = true;
  memory_.floor = raise_floor(memory_.floor, memory_.boot_start, seen, false).floor;
  settle();
}

void Timekeeper::settle() {
  now_ = effective_now(reading_, memory_.floor);
  // Where nobody ever vouched for a clock, the wall clock is all there is: better to end for good too early than to
  // revive.
  trusted_ = memory_.floor.wall == UnixTime{} ? now_ : std::min(certain(), now_);
}

}  // namespace hallpass
