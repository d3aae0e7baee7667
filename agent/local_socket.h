// Sockets of the agent under /run/hallpass.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "core/values/result.h"

namespace hallpass {

// Who is on the other end, as the kernel noted it when the connection was made. pid 0: in another pid namespace.
struct Peer {
  pid_t pid = 0;
  uid_t uid = 0;
};

// A Unix socket bound at `path` with this mode, replacing what an earlier agent left. type: SOCK_DGRAM,
// SOCK_SEQPACKET. Non-blocking.
Result<int> bind_local_socket(const std::string& path, int type, mode_t mode);
// Of a connected socket.
std::optional<Peer> peer_of(int fd);

}  // namespace hallpass
