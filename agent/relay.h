// Takes journal entries from the modules in sshd and sudo and hands them on to journald.
//
// journald limits rates by unit, so a user could drown his own records in the noise of his unit; the agent's unit has
// no such limit. The socket is root's alone (0600, and the sender's uid is looked at), and nothing here ever blocks:
// what journald does not take waits in a bounded queue; what does not fit is counted and told.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "agent/journal.h"
#include "core/values/result.h"

namespace hallpass {

class EventRelay {
 public:
  // `observer` sees each datagram that root sent, after it went on: what follows from an entry comes after it.
  using Observer = std::function<void(std::string_view datagram)>;
  explicit EventRelay(Journal& journal, Observer observer = {}) : journal_(journal), observer_(std::move(observer)) {}
  ~EventRelay();
  EventRelay(const EventRelay&) = delete;
  EventRelay& operator=(const EventRelay&) = delete;

  // Errors: unavailable.
  Status open(const std::string& path);
  int fd() const { return fd_; }
  void receive();  // when fd() is readable
  // Sends what waits. True when something still does: try again in a moment.
  bool flush();

 private:
  void forward(const std::string& datagram);

  Journal& journal_;
  Observer observer_;
  int fd_ = -1;
  std::deque<std::string> queue_;
  std::size_t queued_bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace hallpass
