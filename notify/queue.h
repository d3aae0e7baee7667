// The queue of alerts between the agent, which writes them and has no network, and hallpass-notify, which delivers them
// and has no privileges: a directory, one file an alert, in order by name. docs/formats.md, "Alerts".
//
//   <16 digits>.json                     an alert (notify/alert.h) that nobody has yet
//   <16 digits>.<receiver>-done.json     an alert that one of two receivers has (notify/spool.h)
//   <16 digits>.new                      being written, or left by a crash
//
// The directory belongs to the unprivileged user, who may be an attacker, so the writer trusts nothing that lies there:
// it reads no file, follows no link, replaces no file, enters no file system that is mounted there, and only counts
// names, up to a limit. A file is written beside, synced, renamed, the directory synced: a crash leaves a whole alert
// or none. The directory's parent belongs to root.
//
// Numbers come from a file of the writer's own, never from names in the directory. They are taken from it a hundred at
// a time, so they may have gaps; they never come back, also after the queue was emptied.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/values/result.h"
#include "notify/alert.h"

namespace hallpass {

inline constexpr char kAlertDirectory[] = "/var/spool/hallpass/alerts";    // 0700, hallpass-notify's
inline constexpr char kAlertCounter[] = "/var/lib/hallpass/alert-number";  // 0600, the agent's
inline constexpr std::size_t kMaxQueuedAlerts = 10000;

// A seam: what takes alerts.
class AlertSink {
 public:
  virtual ~AlertSink() = default;
  // Durable when it returns. Errors: not_found (no queue on this host), too_large (the queue is full), unavailable.
  virtual Status put(const Alert& alert) = 0;
};

// Where numbers begin when the counter's file is missing or damaged: beyond all that an earlier one can have given.
std::uint64_t microseconds_since_1970();

class AlertQueue final : public AlertSink {
 public:
  AlertQueue(std::string directory, std::string counter,
             std::function<std::uint64_t()> first_number = microseconds_since_1970)
      : directory_(std::move(directory)), counter_(std::move(counter)), first_number_(std::move(first_number)) {}

  Status put(const Alert& alert) override;
  // Alerts that wait; nullopt: the directory cannot be read.
  std::optional<std::size_t> waiting() const;

 private:
  Result<std::uint64_t> take_number();
  Status write(int directory, std::string_view json);

  std::string directory_, counter_;
  std::function<std::uint64_t()> first_number_;
  std::uint64_t next_ = 0, reserved_ = 0;  // numbers in [next_, reserved_) are ours
};

// "0000000000000042"; nullopt: the name does not begin with 16 digits and a dot.
std::string alert_number_text(std::uint64_t number);
std::optional<std::uint64_t> alert_number(std::string_view file_name);
// Whether a name in the directory is an alert's, whoever has it already.
bool is_alert_name(std::string_view file_name);

}  // namespace hallpass
