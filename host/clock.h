// `now` as hallpass decides by it: the wall clock, but never earlier than the floor that the agent persisted
// (docs/architecture.md section 7, Clock).
//
//   same boot:   now = max(wall, floor.wall + (boottime - floor.boottime))
//   other boot:  now = max(wall, floor.wall)
//
// Readers only read the floor (it travels in the snapshot's meta record); the agent raises it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "core/values/time.h"

namespace hallpass {

struct ClockReading {
  UnixTime wall{};                 // CLOCK_REALTIME
  Seconds boottime{};              // CLOCK_BOOTTIME
  std::array<char, 36> boot_id{};  // /proc/sys/kernel/random/boot_id
  bool synchronised = false;       // the kernel's word: adjtimex(2) without STA_UNSYNC
};

// The machine's clocks now. With an unreadable boot id it is all zero, which matches no floor.
ClockReading read_clock();

struct ClockFloor {
  UnixTime wall{};
  Seconds boottime{};
  std::array<char, 36> boot_id{};
};

// True when both were taken in the same boot of this machine.
bool same_boot(const ClockReading& reading, const ClockFloor& floor);

UnixTime effective_now(const ClockReading& reading, const ClockFloor& floor);

// The floor after this reading. It rises only when `reading.synchronised` (or `accepted`: an operator's `hallpass host
// clock accept`), and then (unless accepted) at most to what `boot_start` allows: the floor as it stood at the first
// reading of this boot, with that reading's boottime and boot id, plus the time since, plus 10 minutes. A `boot_start`
// of wall time 0 is a host without a floor yet: no limit. `limited` tells that the limit held it back (the wall clock
// is ahead of what this host can vouch for). Also a floor that does not rise is dated later, as far as the clock
// vouches for: another boot goes on from `floor.wall`, so that must not be as old as this boot.
struct FloorStep {
  ClockFloor floor;
  bool limited = false;
};
FloorStep raise_floor(const ClockFloor& floor, const ClockFloor& boot_start, const ClockReading& reading,
                      bool accepted);

}  // namespace hallpass
