// Times as the sentences that people read at login and from sudo say them, and as journal fields do.
#pragma once

#include <string>

#include "core/values/time.h"

namespace hallpass {

std::string length_of(Seconds d);  // "25m", "1h5m"
std::string clock_of(UnixTime t,
                     UnixTime now);  // "14:32 CET" in this host's zone, with the date when that is not today
std::string utc_text(UnixTime t);    // as in statements and journal fields: 2026-11-21T07:30:00Z

}  // namespace hallpass
