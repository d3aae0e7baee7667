// One alert as it lies in the queue and as receivers get it. docs/formats.md, "Alerts".
//
//   {"hallpass":"alert/1","id":"<32 hex>","host":"web-3","at":"...","event":"...","priority":3,"message":"...",
//    "fields":{"GRANT":"...",...}}
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/values/time.h"
#include "notify/document.h"

namespace hallpass {

inline constexpr std::size_t kMaxAlertFields = 32;

struct Alert {
  std::string host;
  UnixTime at{};
  std::string event;  // a name of docs/journal-events.md
  int priority = 4;   // syslog's
  std::string message;
  std::vector<std::pair<std::string, std::string>> fields;  // without the HALLPASS_ prefix; empty values are left out
};

// Never over kMaxDocumentBytes: texts are made printable and cut, fields over kMaxAlertFields are left out. Values of a
// name that repeats are joined by ", ".
std::string alert_json(const Alert& alert, std::string_view id);

}  // namespace hallpass
