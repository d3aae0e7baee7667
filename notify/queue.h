// The queue of documents (notify/document.h) between who writes them (the agent, which has no network; the hub) and
// hallpass-notify, which delivers them and has no privileges: a directory, one file a document, in order by name.
// docs/formats.md, "Alerts".
//
//   <16 digits>.json                     a document that nobody has yet
//   <16 digits>.<receiver>-done.json     a document that some of its receivers have (notify/spool.h)
//   <16 digits>.new                      being written, or left by a crash
//
// The directory belongs to the unprivileged user, who may be an attacker, so the writer trusts nothing that lies there:
// it reads no file, follows no link, replaces no file, enters no file system that is mounted there, and only counts
// names, up to a limit. A file is written beside, synced, renamed, the directory synced: a crash leaves a whole
// document or none. The directory's parent belongs to root.
//
// Numbers come from a file of the writer's own, never from names in the directory. They are taken from it a hundred at
// a time, so they may have gaps; they never come back, also after the queue was emptied.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/values/result.h"
#include "notify/alert.h"

namespace hallpass {

inline constexpr char kAlertDirectory[] = "/var/spool/hallpass/alerts";    // 0700, hallpass-notify's
inline constexpr char kAlertCounter[] = "/var/lib/hallpass/alert-number";  // 0600, the agent's
inline constexpr std::size_t kMaxQueued = 10000;

// A seam: what takes alerts.
class AlertSink {
 public:
  virtual ~AlertSink() = default;
  // Durable when it returns. Errors: not_found (no queue on this host), too_large (the queue is full), unavailable.
  virtual Status put(const Alert& alert) = 0;
};

// Where numbers begin when the counter's file is missing or damaged: beyond all that an earlier one can have given.
std::uint64_t microseconds_since_1970();

// The queue's writing end, whatever is written. One thread at a time.
class DocumentQueue {
 public:
  // word: what one of its documents is called, for messages: "alert", "notice"
  DocumentQueue(std::string directory, std::string counter, std::string word,
                std::function<std::uint64_t()> first_number = microseconds_since_1970)
      : directory_(std::move(directory)),
        counter_(std::move(counter)),
        word_(std::move(word)),
        first_number_(std::move(first_number)) {}

  // In this order; durable when it returns. A fault leaves the first ones in the queue, durable or not. Errors:
  // not_found (no queue on this host), too_large (the queue has no room for all of them), unavailable.
  Status put(std::span<const std::string> documents);
  // Documents that wait; nullopt: the directory cannot be read.
  std::optional<std::size_t> waiting() const;

 private:
  Result<std::uint64_t> take_number();
  Status write(int directory, std::string_view json);

  std::string directory_, counter_, word_;
  std::function<std::uint64_t()> first_number_;
  std::uint64_t next_ = 0, reserved_ = 0;  // numbers in [next_, reserved_) are ours
};

class AlertQueue final : public AlertSink {
 public:
  AlertQueue(std::string directory, std::string counter,
             std::function<std::uint64_t()> first_number = microseconds_since_1970)
      : documents_(std::move(directory), std::move(counter), "alert", std::move(first_number)) {}

  Status put(const Alert& alert) override;
  // Alerts that wait; nullopt: the directory cannot be read.
  std::optional<std::size_t> waiting() const { return documents_.waiting(); }

 private:
  DocumentQueue documents_;
};

// "0000000000000042"; nullopt: the name does not begin with 16 digits and a dot.
std::string number_text(std::uint64_t number);
std::optional<std::uint64_t> number_of_name(std::string_view file_name);
// Whether a name in the directory is a document's, whoever has it already.
bool is_document_name(std::string_view file_name);

}  // namespace hallpass
