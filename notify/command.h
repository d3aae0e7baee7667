// Documents to a program of the site: one run each, the document on its standard input, no shell. Exit status 0 has
// taken it; 65 (EX_DATAERR) will never take it; anything else, and not ending in time, is tried again.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "notify/receiver.h"

namespace hallpass {

inline constexpr Seconds kCommandLimit{30};

class Command final : public Receiver {
 public:
  // argv[0] is an absolute path. What it writes goes to this program's standard error.
  explicit Command(std::vector<std::string> argv, Seconds limit = kCommandLimit)
      : argv_(std::move(argv)), limit_(limit) {}
  ~Command() override;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  Status begin(const QueuedDocument& document, Moment now) override;
  // Worth asking after SIGCHLD.
  std::optional<Outcome> outcome(Moment now) override;
  Moment look_again() const override { return deadline_; }

 private:
  void kill_all() const;

  std::vector<std::string> argv_;
  Seconds limit_;
  pid_t pid_ = -1;
  bool late_ = false;
  Moment deadline_{};
};

}  // namespace hallpass
