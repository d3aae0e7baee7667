// A person's copy of what is live in a hub's log, below ~/.cache/hallpass: it verifies as hosts do, notices when the
// log forks, and is a plain directory for everything else here. Several programs may use one copy at a time.
//
//   <host>-<8 hex of the URL's SHA-256>/
//     lock            held while the copy is brought up to date
//     position.json   what has been verified so far (core/log/follower.h); unverified.json where trust.toml has no
//     [log] state.json      when that last succeeded tile/           files of the log that are needed again dir/
//     policy.toml, policy-N.toml, their .sig, hosts.toml, log-<bundle>.grant
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cli/hub_client.h"
#include "core/log/follower.h"
#include "core/policy_trust.h"

namespace hallpass::cli {

// How bringing the copy up to date went. The copy can be read in any case, if there is one.
struct SyncReport {
  enum class Outcome {
    fresh,    // it is what the hub has now
    away,     // the hub cannot be asked
    refused,  // what the hub has contradicts what was verified before, or is damaged: nothing of it was taken
  };
  Outcome outcome = Outcome::away;
  Error error;                        // why not; of `refused` the message begins with the fault in words
  std::optional<UnixTime> synced_at;  // when it was last fresh; nullopt: never
  std::vector<std::string> warnings;  // things that do not stop it; printable
  bool changed = false;               // dir/ holds something new
};

class HubMirror {
 public:
  // `trust`: trust.toml, which may say nothing of the log.
  HubMirror(HubClient client, std::optional<Trust> trust);

  HubClient& client() { return client_; }
  bool verifies() const { return trust_ && trust_->log; }
  const std::optional<Trust>& trust() const { return trust_; }
  const std::string& root() const { return root_; }
  std::string dir() const { return root_ + "/dir"; }

  // Where to begin reading, as the hub says; nobody vouches for it.
  // nullopt: there is none. Errors: untrusted, unavailable.
  Result<std::optional<EpochHint>> epoch_hint();
  // `note`: a checkpoint that was fetched already, by the long poll; nullptr: fetches it.
  SyncReport sync(UnixTime now, const std::string* note = nullptr);
  // The signed head that the copy follows, and its size. nullopt: nothing was read yet.
  struct Head {
    std::string note;
    std::uint64_t size = 0;
    std::uint64_t read_from = 0;     // entries from there on are in the copy
    std::optional<EpochHint> epoch;  // the newest that was read; its policy is not known
  };
  std::optional<Head> head() const;
  // The log's files as of head(): from the copy, else from the hub. What is missing of level 0 is made from entries.
  LogFiles files();

 private:
  struct News;   // what one sync has read
  struct State;  // state.json
  SyncReport sync_locked(UnixTime now, const std::string* given);
  Status keep_news(News& news, UnixTime now, State& state, SyncReport& report);
  std::optional<SyncReport> read_news(const std::string& note, UnixTime now, News& news);
  std::optional<LogRefusal> follow(const std::string& note, UnixTime now, News& news);
  std::optional<LogRefusal> follow_unverified(const std::string& note, News& news);
  LogFiles reading(News& news);
  Result<std::string> from_copy(const std::string& path, std::size_t limit) const;
  Status keep_entries(const News& news) const;
  void keep_tiles(News& news);
  bool bring_policies(const News& news, SyncReport& report);
  bool bring_policy(const PolicyHint& wanted, SyncReport& report);
  Status choose_policy(SyncReport& report) const;
  void bring_hosts(SyncReport& report);
  std::string position_path() const;
  State load_state() const;

  HubClient client_;
  std::optional<Trust> trust_;
  std::string root_;
};

// Held by one who writes (exclusive) or reads (shared) the copy; goes with the process at the latest.
class MirrorLock {
 public:
  // Waits up to ten seconds. Error: unavailable.
  static Result<MirrorLock> take(const std::string& root, bool exclusive);
  ~MirrorLock();
  MirrorLock(MirrorLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  MirrorLock& operator=(MirrorLock&&) = delete;
  MirrorLock(const MirrorLock&) = delete;
  MirrorLock& operator=(const MirrorLock&) = delete;

 private:
  explicit MirrorLock(int fd) : fd_(fd) {}
  int fd_;
};

// The name of a hub's copy: "hub.example.org-1a2b3c4d".
std::string mirror_name(const std::string& url);
// Grant files that together hold `lines`, in their order: "log-<bundle>.grant", "log-<bundle>-2.grant", …, each within
// kMaxGrantFile.
std::vector<std::pair<std::string, std::string>> grant_files(std::uint64_t bundle,
                                                             const std::vector<std::string>& lines);
// The bundle of such a name; nullopt: another file.
std::optional<std::uint64_t> bundle_of_grant_file(std::string_view name);

std::string_view to_words(LogFault fault);  // "the log has FORKED"

}  // namespace hallpass::cli
