// The decision about a login, from the snapshot alone. PAM's account phase asks it for a good message, the session
// phase decides by it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/events.h"
#include "host/snapshot_reader.h"

namespace hallpass {

struct Login {
  std::string account;
  std::vector<std::string> keys;       // proved: "<type> <base64>"
  std::optional<std::string> offered;  // account phase: fingerprint of the key that is being verified
  bool session = false;  // false: the account phase. Without a key it lets pass what the session phase may still admit
};

struct Verdict {
  enum class Decision { deny = 0, admit };
  Decision decision = Decision::deny;
  std::string why;    // a word: "admitted", "ended", "unknown_key", …
  std::string words;  // for the person
  std::string subject, grant, runbook, reason, ticket, key;
  std::string unknown_key;  // "<type> <base64>": the one proved that the store does not list for the account
  Digest request;           // of the grant
  std::vector<std::string> approvers;
  UnixTime end{};
  Seconds left{};    // until end, by the clock that decided
  bool sure = true;  // the words are about the one who logs in: he is known by key, or the account has one owner
  int damaged = 0;   // records skipped on the way
};

Verdict decide(const SnapshotReader& store, const ClockReading& clock, const Login& login);

// The journal's entry about a verdict.
EventRecord login_event(Event event, const std::string& account, const std::string& rhost, const Verdict& verdict);

}  // namespace hallpass
