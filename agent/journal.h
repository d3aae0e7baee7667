// Where the agent tells what happened: a seam, so that unit tests read what would have been logged.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/events.h"

namespace hallpass {

// Without the HALLPASS_ prefix: {"GRANT", "k7m3-9x2d-q4fh"}. Empty values are left out.
using EventFields = std::vector<std::pair<std::string, std::string>>;

class Journal {
 public:
  virtual ~Journal() = default;
  // `message`: one line for people. May hold text from outside; it is made printable on the way out.
  virtual void event(Event event, std::string_view message, const EventFields& fields) = 0;
  void event(Event e, std::string_view message) { event(e, message, {}); }
};

// To journald by its native protocol, or as one line on stderr when nobody takes it.
class SystemJournal final : public Journal {
 public:
  explicit SystemJournal(bool to_journald) : to_journald_(to_journald) {}
  using Journal::event;
  void event(Event event, std::string_view message, const EventFields& fields) override;

 private:
  bool to_journald_;
};

}  // namespace hallpass
