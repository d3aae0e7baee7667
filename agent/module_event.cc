#include "agent/module_event.h"

#include <algorithm>
#include <cstdint>

namespace hallpass {
namespace {

constexpr std::string_view kPrefix = "HALLPASS_";
constexpr std::size_t kMaxName = 64;
constexpr std::size_t kLengthBytes = 8;

struct Field {
  std::string_view name, value;
};

bool is_field_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// "NAME=value\n", or "NAME\n", 8 bytes of length with the lowest first, value, "\n". Takes it off the front.
std::optional<Field> take_field(std::string_view& rest) {
  const std::size_t end = rest.find_first_of("=\n");
  if (end == std::string_view::npos || !is_field_name(rest.substr(0, end))) return std::nullopt;
  Field field{rest.substr(0, end), {}};
  const bool plain = rest[end] == '=';
  rest.remove_prefix(end + 1);
  std::uint64_t length = rest.find('\n');
  if (!plain) {
    if (rest.size() < kLengthBytes) return std::nullopt;
    length = 0;
    for (std::size_t i = kLengthBytes; i-- > 0;) length = length << 8 | static_cast<unsigned char>(rest[i]);
    rest.remove_prefix(kLengthBytes);
  }
  if (length >= rest.size() || rest[length] != '\n') return std::nullopt;
  field.value = rest.substr(0, length);
  rest.remove_prefix(length + 1);
  return field;
}

}  // namespace

std::optional<Event> event_named(std::string_view name) {
  const auto events = all_events();
  const auto found = std::find_if(events.begin(), events.end(), [&](const EventInfo& e) { return e.name == name; });
  if (found == events.end()) return std::nullopt;
  return static_cast<Event>(found - events.begin());
}

std::string_view ModuleEvent::field(std::string_view name) const {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.first == name; });
  return found == fields.end() ? std::string_view() : std::string_view(found->second);
}

std::optional<ModuleEvent> read_module_event(std::string_view datagram) {
  std::optional<Event> event;
  ModuleEvent record;
  while (!datagram.empty()) {
    const std::optional<Field> field = take_field(datagram);
    if (!field) return std::nullopt;
    const std::string_view value = field->value.substr(0, kMaxModuleValue);
    if (field->name == "MESSAGE" && record.message.empty()) record.message = value;
    if (field->name.substr(0, kPrefix.size()) != kPrefix) continue;
    const std::string_view name = field->name.substr(kPrefix.size());
    if (name == "EVENT") {
      if (event) return std::nullopt;
      event = event_named(value);
      if (!event) return std::nullopt;
    } else if (record.fields.size() < kMaxModuleFields) {
      record.fields.emplace_back(name, value);
    }
  }
  if (!event) return std::nullopt;
  record.event = *event;
  return record;
}

}  // namespace hallpass
