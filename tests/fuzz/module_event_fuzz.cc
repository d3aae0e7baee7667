// What the modules in sshd and sudo hand to the agent: nothing is read beyond the bytes, what is kept is bounded, and
// an alert made of it is one that its reader takes.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/module_event.h"
#include "notify/alert.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace): a program of one file

void must(bool good) {
  if (!good) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view datagram(reinterpret_cast<const char*>(data), size);
  const std::optional<ModuleEvent> record = read_module_event(datagram);
  if (!record) return 0;
  must(record->fields.size() <= kMaxModuleFields && record->message.size() <= kMaxModuleValue);
  for (const auto& [name, value] : record->fields) must(value.size() <= kMaxModuleValue && name != "EVENT");
  const Alert alert{"web-3", from_unix(0),    std::string(event_info(record->event).name),
                    4,       record->message, record->fields};
  const std::string json = alert_json(alert, std::string(32, '0'));
  must(json.size() <= kMaxDocumentBytes);
  const Result<DocumentHead> head = read_head(json);
  must(head.has_value() && head->event == alert.event);
  return 0;
}
