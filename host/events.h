// Every event hallpass writes to the journal: one table of names, MESSAGE_IDs, priorities and catalog texts
// (host/events.def), from which the installed catalog and docs/journal-events.md are generated. docs/journal-events.md
// lists the fields.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hallpass {

enum class Event {
#define HALLPASS_EVENT(name, id, priority, subject, text) name,
#include "host/events.def"
#undef HALLPASS_EVENT
};

struct EventInfo {
  std::string_view name;        // "login_admitted"
  std::string_view message_id;  // 32 lower-case hex digits
  int priority;                 // syslog's: 2 critical, 3 error, 4 warning, 5 notice, 6 info
};
const EventInfo& event_info(Event e);
std::span<const EventInfo> all_events();

// The catalog's words: a subject of one line, and what the event means and what to do. Not linked into sshd's module.
struct EventText {
  std::string_view subject, text;
};
const EventText& event_text(Event e);

// One entry in journald's native protocol, ready to send (systemd's JOURNAL_NATIVE_PROTOCOL). Values with a newline use
// the length form, so nothing a user typed can make a field of its own.
class EventRecord {
 public:
  EventRecord(Event event, std::string_view message);
  // name without the HALLPASS_ prefix: "GRANT", "SUBJECT". Empty values are left out. A name may repeat (APPROVERS).
  EventRecord& with(std::string_view name, std::string_view value);
  const std::string& datagram() const { return datagram_; }

 private:
  std::string datagram_;
};

// From sshd and sudo: hands the entry to the agent with one non-blocking datagram, and when nobody takes it, to
// journald itself, also without blocking. Never fails loudly: deciding comes first. Returns who took it.
enum class Taken { agent, journald, nobody };
Taken send_event(const EventRecord& record);
// The agent's own: straight to journald.
Taken send_to_journald(std::string_view datagram);
// One datagram to a socket, without blocking: for the two above, and for tests.
bool send_datagram(const char* socket_path, std::string_view datagram);

}  // namespace hallpass
