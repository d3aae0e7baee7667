// The catalog's words about events: for make_catalog, not for what sshd loads.
#include "host/events.h"

namespace hallpass {
namespace {

constexpr EventText kTexts[] = {
#define HALLPASS_EVENT(name, id, priority, subject, text) {subject, text},
#include "host/events.def"
#undef HALLPASS_EVENT
};

}  // namespace

const EventText& event_text(Event e) {
  return kTexts[static_cast<std::size_t>(e)];
}

}  // namespace hallpass
