#include "agent/journal.h"

#include <unistd.h>

#include <cstdio>

#include "core/values/text.h"

namespace hallpass {

void SystemJournal::event(Event event, std::string_view message, const EventFields& fields) {
  const std::string line = printable(message, 2000);
  if (to_journald_) {
    EventRecord record(event, line);
    for (const auto& [name, value] : fields) {
      if (!value.empty()) record.with(name, printable(value, 2000));
    }
    if (send_to_journald(record.datagram()) != Taken::nobody) return;
  }
  // Under systemd stderr is the journal's too: the copy is for the day when journald's socket is full or gone, and for
  // tests.
  const EventInfo& info = event_info(event);
  std::string copy = "<" + std::to_string(info.priority) + ">" + std::string(info.name) + ": " + line;
  for (const auto& [name, value] : fields) {
    if (!value.empty()) copy += " " + name + "=" + printable(value, 300);
  }
  copy += '\n';
  std::fputs(copy.c_str(), stderr);
}

}  // namespace hallpass
