// The directory that the agent reads: the log's files as far as this host needs them, and its policies.
//
//   checkpoint               the newest signed head; written last, by rename
//   epoch                    where a reader with nothing begins (a hint)
//   tile/…                   tiles and entry bundles
//   policies/                policy-N.toml[.sig], and policy.toml[.sig], the newest
//   position.json            what hallpass-fetch has verified
//   fetch-status.json        how it goes, for people
//   .arriving/               files not yet verified
//
// A crash at any point leaves a checkpoint all of whose files are there: they are renamed into place before it. Only
// the checkpoint, the position and policies are made durable; a tile that a power cut damaged is fetched again when it
// is needed.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "core/log/checkpoint.h"
#include "core/log/epoch.h"
#include "core/log/follower.h"
#include "core/values/digest.h"
#include "core/values/result.h"

namespace hallpass {

class Mirror {
 public:
  // The directory must be there, and nobody else at work in it; what a killed run left half written is removed. Error:
  // unavailable.
  static Result<Mirror> open(const std::string& path);

  const std::string& path() const { return path_; }
  // A file of the log. Errors: not_found, too_large, unavailable.
  Result<std::string> read(const std::string& path, std::size_t limit) const;
  bool has(const std::string& path) const;

  // Files on their way: readable by arrived(), kept all together or dropped all together.
  Status arrive(const std::string& path, std::string_view bytes);
  Result<std::string> arrived(const std::string& path, std::size_t limit) const;  // Error: not_found
  Status keep();
  void drop();

  Status publish(const std::string& note);
  Status write_hint(const EpochHint& hint);
  std::optional<std::string> note() const;
  std::optional<EpochHint> hint() const;
  Status remember(const LogPosition& position);
  // nullopt: none, or not readable as one.
  std::optional<LogPosition> position() const;
  // Another log: everything of the former one goes, but policies.
  Status forget_log();

  Status put_policy(std::int64_t version, const std::string& toml, const std::string& sig);
  Status put_newest_policy(std::int64_t version);  // one that was put
  std::set<std::int64_t> policies() const;         // versions of which both files are there
  // How long the files of this version have been there.
  std::optional<std::chrono::seconds> age_of_policy(std::int64_t version) const;

  // Removes what no reader of the log at one of `sizes` needs any more: entries before `live_from`, partial files that
  // grew. `needed` stays, and what is younger than a minute. The number removed.
  std::size_t prune(const std::set<std::uint64_t>& sizes, std::uint64_t live_from, const std::set<std::string>& needed);

 private:
  Mirror(std::string path, std::shared_ptr<const int> lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string at(std::string_view name) const { return path_ + "/" + std::string(name); }
  std::string policy_file(std::int64_t version) const;
  std::string path_;
  std::shared_ptr<const int> lock_;              // a descriptor of the directory, locked
  std::map<std::string, std::string> arriving_;  // path below the prefix -> file in .arriving
};

}  // namespace hallpass
