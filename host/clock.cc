#include "host/clock.h"

#include <fcntl.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace hallpass {

ClockReading read_clock() {
  ClockReading reading;
  timespec ts{};
  clock_gettime(CLOCK_REALTIME, &ts);
  reading.wall = from_unix(ts.tv_sec);
  clock_gettime(CLOCK_BOOTTIME, &ts);
  reading.boottime = Seconds(ts.tv_sec);
  const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  const auto size = static_cast<ssize_t>(reading.boot_id.size());
  if (fd < 0 || read(fd, reading.boot_id.data(), reading.boot_id.size()) != size) reading.boot_id = {};
  if (fd >= 0) close(fd);
  timex tx{};
  reading.synchronised = adjtimex(&tx) >= 0 && (tx.status & STA_UNSYNC) == 0;
  return reading;
}

bool same_boot(const ClockReading& reading, const ClockFloor& floor) {
  return reading.boot_id == floor.boot_id && reading.boot_id != decltype(reading.boot_id){};
}

UnixTime effective_now(const ClockReading& reading, const ClockFloor& floor) {
  const Seconds since =
      same_boot(reading, floor) ? std::max(reading.boottime - floor.boottime, Seconds(0)) : Seconds(0);
  return std::max(reading.wall, floor.wall + since);
}

}  // namespace hallpass
