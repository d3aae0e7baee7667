// The way back, as systemd takes it and as `enable` does when it fails, and what both tell of it.
#pragma once

#include <string>
#include <vector>

#include "agent/layout.h"
#include "agent/setup/activation.h"
#include "core/values/result.h"
#include "host/events.h"

namespace hallpass {

// The right to change this host by `enable`, which one process has at a time, from its first look to its last word. It
// ends with that process, however that ends. Nothing that leads back asks for it.
class EnableTurn {
 public:
  explicit EnableTurn(const Layout& layout);
  ~EnableTurn();
  EnableTurn(const EnableTurn&) = delete;
  EnableTurn& operator=(const EnableTurn&) = delete;
  bool taken() const { return taken_; }

 private:
  int fd_ = -1;
  bool taken_ = true;  // also where there is nothing to lock yet
};

// Takes a pending change back when its time is up or its `enable` was killed half-way (`now`: at once), finishes a
// deactivation that was killed, and removes what killed ones left. Does nothing when there is nothing to do, but arms
// the timer again for what waits. Returns the exit code; after a failure systemd tries again.
int run_way_back(const Layout& layout, const std::string& because = "");

// systemd and sshd have the files as they stand. A reload that fails becomes a restart, which ends no session, but only
// where sshd would come up again.
Status reload_or_restart(const Layout& layout);

// The event goes to the journal; with a root of a test's nowhere.
void report(const Layout& layout, const EventRecord& event);
// Who did it, and what was left of others' changes.
std::string ended_words(const std::vector<std::string>& told);

// /run/hallpass/activation.json, for who may not read the record. Never fails loudly.
void publish_activation(const Layout& layout);
Result<ActivationState> read_activation_or_published(const Layout& layout);

}  // namespace hallpass
