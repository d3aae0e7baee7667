// What each of our long-running programs gives up at its start.
#pragma once

namespace hallpass {

// Files that are nobody else's, no core dumps, no debugger of another process of this user, no privileges gained by
// executing anything.
void harden_process();

}  // namespace hallpass
