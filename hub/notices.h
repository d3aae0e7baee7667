// Whom to tell of what was taken into the log: those who can fill a new request's gates, and a requester of what was
// decided. Into the durable queue that hallpass-notify delivers from. docs/operations.md, "Notices".
#pragma once

#include "core/judge.h"
#include "core/policy.h"
#include "core/statement.h"

namespace hallpass::hub {

class Notices {
 public:
  virtual ~Notices() = default;
  // After `taken` is durable in the log. `before` and `after`: the grant judged without it and with it, for no host;
  // of a request `before` is void. The request is among `statements`. Never fails: what cannot be queued is counted and
  // logged.
  virtual void taken(const Statement& taken, const Judgement& before, const Judgement& after, const Request& request,
                     const Policy& policy, UnixTime now) = 0;
};

}  // namespace hallpass::hub
