// Sockets of the agent under /run/hallpass.
#pragma once

#include <string>

#include "core/values/result.h"

namespace hallpass {

// A Unix socket bound at `path`, mode 0600, replacing what an earlier agent left. type: SOCK_DGRAM, SOCK_SEQPACKET.
// Non-blocking.
Result<int> bind_local_socket(const std::string& path, int type);
// The uid on the other end of a connected socket; -1 when unknown.
long peer_uid(int fd);

}  // namespace hallpass
