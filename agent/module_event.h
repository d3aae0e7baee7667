// Reads the journal entries that the modules in sshd and sudo hand over (host/events.h makes them): what the agent
// needs to know of a login, without asking the journal.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/journal.h"

namespace hallpass {

inline constexpr std::size_t kMaxModuleFields = 32;
inline constexpr std::size_t kMaxModuleValue = 500;  // longer ones are cut

struct ModuleEvent {
  Event event{};
  std::string message;
  EventFields fields;  // without the HALLPASS_ prefix and without EVENT, in their order; names may repeat

  // Empty: there is none.
  std::string_view field(std::string_view name) const;
};

// "login_admitted"; nullopt: there is no such event.
std::optional<Event> event_named(std::string_view name);

// nullopt: not in journald's native protocol, or no event of ours. The sender is root; what is in the values may come
// from anyone.
std::optional<ModuleEvent> read_module_event(std::string_view datagram);

}  // namespace hallpass
