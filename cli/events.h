// What happened, in words: for `hallpass watch` and `hallpass log tail`.
#pragma once

#include <optional>
#include <string>

#include "cli/grants.h"
#include "core/log/follower.h"
#include "core/policy.h"
#include "core/statement.h"

namespace hallpass::cli {

struct Event {
  UnixTime at{};
  std::string kind;  // request, approve, deny, revoke; policy, epoch, unknown of a log; state of a watch
  std::string by;
  std::string what;             // printable: "alice asks for login on db-1 for 20m: 502s on checkout"
  std::optional<Digest> grant;  // that it is about
};

Event event_of(const Statement& statement);
// An entry of a log. Keys that the policy does not have (any more) are named as such.
Event event_of(const LogEntry& entry, const Policy& policy);

// "to answer: hallpass approve k7m3-9x2d-q4fh", "next: ssh alice@web-3"; empty when there is nothing to type.
std::string what_to_type(const Grant& grant, const Policy& policy);

}  // namespace hallpass::cli
