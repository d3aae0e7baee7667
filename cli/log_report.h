// What verifying a hub's log from nothing has found: for `hallpass log verify`.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "cli/context.h"
#include "core/log/follower.h"

namespace hallpass::cli {

struct LogReport {
  VerifiedCheckpoint head;
  LogTrust trust;
  std::uint64_t from = 0;  // the first entry that was read
  std::optional<UnixTime> epoch_at;
  std::uint64_t epoch = 0, live_from = 0;
  std::uint64_t statements = 0, policies = 0, epochs = 0, unknown = 0;
  std::vector<std::string> invalid;  // entries that no honest hub takes; printable
};

// Brings our copy up to date, which compares the log with what was seen before; then reads it again from the hub as
// somebody who has seen nothing: from the epoch, or with `full` from entry 0. With the hub away: our copy.
std::variant<LogReport, LogRefusal, Error> verify_log(Context& context, HubMirror& mirror, bool full);

std::vector<std::string> report_lines(const LogReport& report, const Times& times);
Json to_json_value(const LogReport& report, UnixTime now);

}  // namespace hallpass::cli
