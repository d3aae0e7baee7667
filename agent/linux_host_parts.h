// What linux_host.cc and linux_host_limits.cc share.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "agent/linux_host.h"

namespace hallpass {

inline std::uint64_t microseconds(clockid_t clock) {
  timespec ts{};
  clock_gettime(clock, &ts);
  return static_cast<std::uint64_t>(ts.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(ts.tv_nsec) / 1000;
}

// logind's names, which become file names here.
inline bool is_session_id(const std::string& id) {
  return !id.empty() && std::all_of(id.begin(), id.end(), [](unsigned char c) { return isalnum(c) != 0; });
}

struct LinuxHost::Asked {
  LinuxHost* host;
  std::string id, property;
  sd_bus_slot* slot = nullptr;
  ~Asked() { sd_bus_slot_unref(slot); }
};

}  // namespace hallpass
