// The queue of alerts between the agent, which writes them and has no network, and hallpass-notify, which delivers them
// and has no privileges: a directory, one file an alert, in order by name.
//
//   <16 digits>.json   {"hallpass":"alert/1","id":"<32 hex>","host":"web-3","at":"...","event":"...","priority":3,
//                       "message":"...","fields":{"GRANT":"...",...}}      docs/formats.md, "Alerts"
//
// The directory belongs to the unprivileged user, so the writer follows no link in it and trusts nothing that lies
// there. A file is written beside (".new"), synced, renamed, the directory synced: a crash leaves a whole alert or
// none. The reader removes a file when it has been delivered.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/values/result.h"

namespace hallpass {

inline constexpr std::size_t kMaxQueuedAlerts = 10000;

class AlertQueue {
 public:
  // `counter`: a file of the writer's own that holds the next number, so that numbers never come back after the queue
  // was emptied.
  AlertQueue(std::string directory, std::string counter);

  // Durable when it returns. Adds "id" and nothing else. Errors: unavailable (directory missing, disk), too_large
  // (queue full).
  Status put(JsonObject alert);
  // Alerts that wait; nullopt: the directory cannot be read.
  std::optional<std::size_t> waiting() const;

 private:
  std::string directory_, counter_;
};

}  // namespace hallpass
