// Until when a session may live: pure.
//
// Two conditions, and the earlier end counts:
//   - some grant admits the session's subject to its account, without a gap from now on;
//   - each grant whose sudo was used in the session is active, or another active one covers what it allowed. Nothing
//   that
//     was started with the powers of one grant lives on under a lesser one.
#pragma once

#include <set>
#include <span>
#include <vector>

#include "core/values/command.h"
#include "core/values/digest.h"
#include "core/values/time.h"

namespace hallpass {

// An admission of the session's subject to its account.
struct Power {
  Digest grant;
  UnixTime start{}, end{};  // admits while start <= now < end
  const std::vector<Command>* commands = nullptr;
};

// A grant whose sudo was used. Without its commands (they are not known any more) nothing but itself covers it.
struct UsedGrant {
  Digest grant;
  const std::vector<Command>* commands = nullptr;
};

struct Deadline {
  UnixTime at{};        // the session must end when now >= at; at <= now: it has come
  Digest grant;         // whose end decides that; all zero: nothing has admitted since before now
  bool by_use = false;  // the grant was used for sudo and nothing covers it; the person may still be admitted
};

// Everything that `used` allows, `other` allows too: the same commands among its own, or everything as that user.
bool covers(const std::vector<Command>& other, const std::vector<Command>& used);

Deadline deadline_of(UnixTime now, std::span<const Power> powers, std::span<const UsedGrant> used);

}  // namespace hallpass
