// `hallpass-hub run`: the log, the service and the server put together, until a signal ends it.
#pragma once

#include <string>

#include "hub/setup.h"

namespace hallpass::hub {

// The exit status: 0 ended by a signal, 1 could not start or had to stop.
int run_hub(const std::string& config_path, Setup setup);

// journald takes the priority from the prefix.
void tell(int priority, const std::string& text);

}  // namespace hallpass::hub
