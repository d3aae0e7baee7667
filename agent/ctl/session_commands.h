// `hallpass time`, `done`, `host sessions` and `host end`. Each returns the exit code, as hallpass-host(8) says.
#pragma once

#include <string>

#include "agent/layout.h"

namespace hallpass {

inline constexpr int kFine = 0, kWrong = 1, kUsage = 2;

// "WHO: WHAT" on standard error, where WHO is what was typed ("hallpass host"); kWrong.
int complain(const std::string& what);

int run_time(const Layout& layout, bool as_json);
int run_done(const Layout& layout, bool yes);
int run_sessions(const Layout& layout, bool as_json);
// Waits a few seconds for the session to be over.
int run_end(const Layout& layout, const std::string& session, const std::string& reason);

}  // namespace hallpass
