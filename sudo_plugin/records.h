// The journal's entries about sudo. docs/journal-events.md lists the fields.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/events.h"
#include "host/session.h"
#include "sudo_plugin/front_end.h"
#include "sudo_plugin/grants.h"

namespace hallpass {

// The argument vector as a JSON array. A byte that is no UTF-8 becomes the lone surrogate \udcXX, so every vector can
// be read back. Words over 8 KiB, and what comes after 48 KiB, are cut: then `whole` is false.
std::string json_array(const std::vector<std::string_view>& words, bool& whole);

struct SudoRecord {
  std::string account;
  const Session* session = nullptr;  // null: the caller's session is not registered
  const Cover* cover = nullptr;      // null: the standing rules decided
  std::string target;                // user[:group]
  std::vector<std::string_view> command;
  std::string path;  // resolved
  std::string why, exit_status;
};

// decision: "admit", "deny" or empty.
EventRecord sudo_event(Event event, const std::string& message, const SudoRecord& record, std::string_view decision);

}  // namespace hallpass
