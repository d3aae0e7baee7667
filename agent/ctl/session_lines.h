// Sessions for people: the agent's answers (docs/formats.md, "Control socket") as lines for a terminal. What cannot be
// read in an answer is shown as "?".
#pragma once

#include <string>

#include "core/json.h"
#include "core/values/time.h"

namespace hallpass {

// Of `time`. now: for naming the day.
std::string time_lines(const Json& answer, UnixTime now);
// Of `time`, before `done`: "End your access to web-3 as alice now? ...".
std::string done_question(const Json& answer);
// Of `time`, once he has agreed.
std::string done_lines(const Json& answer);
// Of `sessions`: a table, its columns aligned; empty: there are none.
std::string session_lines(const Json& answer, UnixTime now);

// A member as text: "?" when it is absent or of another kind.
std::string member_text(const Json& object, std::string_view name);

}  // namespace hallpass
