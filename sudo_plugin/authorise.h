// The second look, after sudoers accepted under a fragment: is what will really run what the grant names, as whom it
// names, and is the grant still there?
#pragma once

#include <string>

#include "sudo_plugin/grants.h"

namespace hallpass {

// Whether command_info makes the command run as the user and group of `command`, with no supplementary group that this
// user lacks. Empty: it does; else what is wrong.
std::string runs_as_another(const Vector& command_info, const Command& command);

// Whether sudoers really does what the runbook asks of it, whatever the site's Defaults say: the digest's very file is
// executed, the command can start no other or only what is checked, edited files are no links. Empty: it does.
std::string breaks_promise(const Vector& command_info, const Command& command);

struct Authority {
  bool allowed = false;
  Cover cover;
  Seconds left{};   // until the end, by the clock that decided
  std::string why;  // not allowed: for people and the journal
};

// Looks everything up afresh. `grant` and `before` are what the fragment was made from: the very same command of the
// very same grant must still be there. `sub`: a sub-command of it, which any command of the grant for the same user may
// cover.
Authority authorise(const Cover& before, bool sub, const Wish& wish, const Vector& command_info, const Session& session,
                    const Abilities& abilities);

}  // namespace hallpass
