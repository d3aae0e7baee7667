// The system's time zones (date-tz over /usr/share/zoneinfo) as core's ZoneTable. Not part of the pure core: it reads
// the machine.
#pragma once

#include <set>
#include <string>

#include "core/values/result.h"
#include "core/zones.h"

namespace hallpass {

// Errors: not_found (a name that the system does not know, named), unavailable (no zone data: install tzdata).
Result<ZoneTable> load_zones(const std::set<std::string>& names);
bool zone_exists(const std::string& name);
// The zone of this process for printing to people: $TZ, else /etc/localtime; UTC when neither can be read.
Zone local_zone();

}  // namespace hallpass
