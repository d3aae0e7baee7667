// The sentences that a person reads at login. Times are in this host's zone. Everything named comes from the snapshot
// or this host, nothing from the other end of the connection.
#pragma once

#include <string>
#include <string_view>

#include "host/snapshot_reader.h"

namespace hallpass {

// "hallpass: alice may use web-3 as alice until 14:32 UTC (25m left), grant k7m3-9x2d-q4fh (restart-web)"
std::string admitted_words(std::string_view host, const AdmissionView& admission, UnixTime now);

// Why there is no admission, and what to type: "hallpass: alice's grant k7m3-9x2d-q4fh for web-3 as alice ended 5m ago
// (14:32 UTC)\n…"
std::string waiting_words(std::string_view host, const WaitingView& waiting, UnixTime now);

// A broken store, in words that nobody takes for "no grant".
std::string store_words(std::string_view what);

}  // namespace hallpass
