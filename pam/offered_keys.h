// What hallpass-keys answers to sshd's AuthorizedKeysCommand (docs/architecture.md, "Login"; hallpass-keys(8)).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/values/result.h"
#include "host/snapshot_reader.h"

namespace hallpass {

// Arguments as sshd hands them over: %u [%f [%t %k]].
struct KeysQuery {
  bool observe = false;
  std::string account;
  std::string fingerprint;  // empty: all keys of the account
  std::string line;         // "<type> <base64>" as offered, empty when not told

  bool is_certificate() const { return line.find("-cert-v01@") != std::string::npos; }
};
// Errors: malformed.
Result<KeysQuery> parse_keys_query(const std::vector<std::string>& arguments);

struct KeysAnswer {
  std::string lines;    // of authorized_keys
  bool record = false;  // leave a key record: the one key asked for is enrolled
};
KeysAnswer answer_keys(const SnapshotReader& store, const ClockReading& clock, const KeysQuery& query);

}  // namespace hallpass
