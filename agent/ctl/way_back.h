// The way back, as systemd takes it and as `enable` does when it fails, and what both tell of it.
#pragma once

#include <string>
#include <vector>

#include "agent/layout.h"
#include "agent/setup/activation.h"
#include "core/values/result.h"
#include "host/events.h"

namespace hallpass {

// Takes a pending change back when its time is up (`now`: at once), finishes a deactivation that was killed, and
// removes what killed ones left. Does nothing when there is nothing to do. Returns the exit code; after a failure
// systemd tries again.
int run_way_back(const Layout& layout, bool now);

// systemd and sshd have the files as they stand. A reload that fails becomes a restart, which ends no session.
Status reload_or_restart(const Layout& layout);

// The event goes to the journal; with a root of a test's nowhere.
void report(const Layout& layout, const EventRecord& event);
// Who did it, and what was left of others' changes.
std::string ended_words(const std::vector<std::string>& told);

// /run/hallpass/activation.json, for who may not read the record. Never fails loudly.
void publish_activation(const Layout& layout);
Result<ActivationState> read_activation_or_published(const Layout& layout);

}  // namespace hallpass
