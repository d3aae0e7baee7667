// Raising the floor: the agent's part, kept out of what sshd loads.
#include <algorithm>

#include "host/clock.h"

namespace hallpass {

FloorStep raise_floor(const ClockFloor& floor, const ClockFloor& boot_start, const ClockReading& reading,
                      bool accepted) {
  constexpr Seconds kSlack{600};
  if (!reading.synchronised && !accepted) return {floor, false};
  UnixTime wall = reading.wall;
  bool limited = false;
  if (!accepted && boot_start.wall != UnixTime{}) {
    const Seconds since = same_boot(reading, boot_start) ? reading.boottime - boot_start.boottime : reading.boottime;
    const UnixTime limit = boot_start.wall + since + kSlack;
    limited = wall > limit;
    wall = std::min(wall, limit);
  }
  // Only upwards. In the floor's own boot it says the same of every moment whichever point of its line is written down;
  // the latest point that the clock vouches for is the one from which another boot goes on. A floor of an earlier boot
  // that is ahead of a clock put right is left where it is: re-anchored to this boot it would run on ahead of the
  // clock.
  const bool ours = same_boot(reading, floor);
  const UnixTime standing = ours ? floor.wall + (reading.boottime - floor.boottime) : floor.wall;
  if (wall <= standing) {
    if (!ours || wall <= floor.wall) return {floor, limited};
    return {{wall, floor.boottime + (wall - floor.wall), floor.boot_id}, limited};
  }
  return {{wall, reading.boottime, reading.boot_id}, limited};
}

}  // namespace hallpass
