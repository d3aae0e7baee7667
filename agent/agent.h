// The agent without its event loop: everything it does when a file arrives, time passes or an operator asks. main.cc
// calls it from sd-event, `--once` and the tests call it by hand.
//
// The order that nothing may change: a statement is verified, judged, recorded in the ledger, and only then published.
// What a crash leaves is repaired by start(), which judges and publishes from the ledger before it reads any directory.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/config.h"
#include "agent/content.h"
#include "agent/docket.h"
#include "agent/intake.h"
#include "agent/journal.h"
#include "agent/layout.h"
#include "agent/ledger.h"
#include "agent/log_intake.h"
#include "agent/policies.h"
#include "agent/publisher.h"
#include "agent/sessions.h"
#include "agent/storage_alarm.h"
#include "agent/sudoers.h"
#include "agent/timekeeper.h"
#include "core/json.h"

namespace hallpass {

struct AgentSeams {
  ClockSource clock;
  Policies::ZoneLoader zones;
  Journal* journal = nullptr;
  SnapshotStore* store = nullptr;
  std::function<void()> alive = [] {};  // called now and then during long work: the watchdog's food
  Ledger::Options ledger;               // directory is filled in from the layout
};

class Agent final : private InputSink, private LogSink {
 public:
  Agent(Layout layout, HostConfig config, Trust trust, AgentSeams seams);

  // From the ledger to a published snapshot. Errors: mismatch (another agent runs, another fleet), malformed (machine
  // id). A damaged ledger is no error: nothing new is admitted, the snapshot that stands stays until its own ends, and
  // everyone is told.
  Status start();

  // Reads what is new, records, judges, publishes; for about `milliseconds`. True when there is more to do.
  bool work(int milliseconds);
  int notify_fd() const { return intake_->notify_fd(); }
  void read_notifications() { intake_->read_notifications(); }

  // Once a minute: a look at every file, the floor of the clock, what can be forgotten.
  void minute();
  // When next_due() has come, or anything else made time worth a look.
  void time_passed();
  // The wall clock was set.
  void clock_set();

  // The earliest moment at which something changes by itself; kNever.
  UnixTime next_due() const { return damaged() ? kNever : docket_.next_due(); }
  // When to try a failed write again, in time since boot; nullopt: nothing failed.
  std::optional<Seconds> retry_at() const;
  void retry();

  const Timekeeper& clock() const { return *clock_; }
  // An operator says: the clock is right. Errors: unavailable (could not be recorded; it counts until a restart).
  Status accept_clock();
  // An operator gives the damaged ledger up. Errors: mismatch (it is not damaged), unavailable.
  Status reset_ledger();

  // Its programs are the caller's to run: docs in agent/sudoers.h.
  SudoDefaults& sudo_defaults() { return sudo_defaults_; }

  // --- agent_sessions.cc: for the sessions of this host
  // Admissions of `subject` (empty: of anyone) to `account`, begun or not; valid until the agent does anything.
  std::vector<const Admission*> admitting(const std::string& account, const std::string& subject);
  bool anyone_admitted(const std::string& account);  // now
  bool personal(const std::string& account, const std::string& subject) const;
  GrantOver how_over(const Digest& request) const;
  std::string runbook_of(const Digest& request) const;
  // What admits `subject` to `account` now is over on this host, for good. Errors: not_found, unavailable (disk).
  Status give_back(const std::string& account, const std::string& subject);
  const HostConfig& config() const { return config_; }
  // Grows with whatever may change these answers, but for time alone.
  std::uint64_t changes() const { return changes_; }

  bool damaged() const { return !damage_.empty(); }
  Json status(const Sessions* sessions = nullptr) const;
  // What an operator should know, one sentence each; empty: all is well.
  std::vector<std::string> problems() const;
  const Docket& docket() const { return docket_; }
  const LogIntake* log() const { return log_.get(); }  // nullptr: none
  const std::string& policy_text() const { return policies_.in_force().toml; }
  std::shared_ptr<const Policy> policy() const { return policies_.in_force().policy; }  // nullptr: none
  std::vector<DirectoryReport> directories() const { return intake_->report(); }

 private:
  // agent.cc
  Status open_ledger();
  Status load();
  void believe_snapshot_if_current();
  void enter_damage(std::string why);
  bool ledger_sound();
  void keep_floor();
  void tell_clock();
  void tell_steps();
  void tell_clock_at_start();

  // agent_intake.cc
  Status statement(std::string_view envelope) override;
  void policy_files_changed() override { policies_dirty_ = true; }
  void log_head_changed() override;
  Status proof(std::string_view text) override;
  std::optional<bool> known_before(std::string_view envelope) const;
  Status may_narrow(const Statement& statement, const Digest& group);
  Status keep(const Statement& statement);
  Status count_request(const Statement& statement, const Digest& group);
  void count_requests();
  bool says_nothing_new(const Statement& revocation) const;
  void record_batch();
  void take_global(const Statement& statement, LedgerChange& change, std::set<Digest>& affected);
  void batch_failed(const std::string& why);
  void walk_policies();
  bool walk_directory(const WatchedDirectory& directory);
  bool accept(const PolicyCandidate& candidate, std::shared_ptr<const Policy> policy);

  // agent_log.cc
  Status logged(std::string_view envelope, std::uint64_t index, bool proven) override;
  Status take_logged(std::string_view envelope, std::uint64_t index);
  void epoch_read(const Epoch& epoch, std::uint64_t index) override;
  Status remember(const LogPosition& position) override;
  bool is_logged(const Statement& statement) const;
  bool counts_without_log(const Statement& statement) const;
  void keep_logged(LedgerChange& change);
  void judge_newly_logged();
  bool keep_proofs();
  bool work_on_log(int milliseconds);
  void log_minute();
  void tell_staleness();
  void limit_by_freshness();
  Json log_status() const;

  // agent_judging.cc
  std::vector<Statement> statements_for(const Digest& request) const;
  Verdict judge_one(const Digest& request) const;
  void judge_again(const std::vector<Digest>& requests, bool quiet);
  void apply(Verdict&& verdict, bool quiet);
  void tell(const Grant& grant, const std::optional<Grant>& before, const Admission* admission);
  void reopen_globals();
  void keep_voided_keys();
  void forget_old();
  bool publish_if_different();
  void fill_content();
  const std::vector<Admission>& admissions_of_snapshot(const std::string& account);
  SnapshotReader::Where snapshot_place() const;
  void end_unrecorded(std::vector<Verdict>& verdicts);

  // narrows: the snapshot that stands must not outlive this change.
  Status commit(LedgerChange& change, bool narrows);

  Layout layout_;
  HostConfig config_;
  AgentSeams seams_;
  Journal& journal_;
  std::string machine_id_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<Timekeeper> clock_;
  std::unique_ptr<Intake> intake_;
  Policies policies_;
  std::unique_ptr<LogIntake> log_;                                      // nullptr: trust.toml names no log
  std::map<std::pair<Digest, std::string>, std::uint64_t> logged_now_;  // by statement, not yet recorded
  bool proofs_taken_ = false, stale_told_ = false;
  Seconds log_started_{0};
  Docket docket_;
  std::shared_ptr<const Policy> access_under_;  // what access_ and the docket's keys were made from
  std::set<std::string> keys_without_;
  Access access_;
  Publisher publisher_;
  StorageAlarm alarm_;
  SudoDefaults sudo_defaults_;
  LedgerState state_;  // as committed
  std::set<std::string> voided_;
  std::vector<Statement> globals_;  // revocations of subjects and keys
  std::vector<Statement> batch_;    // verified, not yet recorded
  std::vector<std::string>
      unrecorded_;                    // narrowing that could not be recorded: tried again though its file may be gone
  std::set<Digest> unrecorded_ends_;  // what these end: no session lives by it
  std::map<std::string, std::vector<Admission>> standing_;  // of the snapshot, while the ledger is damaged
  std::uint64_t changes_ = 1;
  std::map<std::string, std::int64_t> held_;  // requests by subject; "" for those that never came
  std::map<std::string, int> early_endings_;  // by signer: of requests that are not known here
  std::set<Digest> ended_unknown_;            // those whose ending waits because there were too many
  bool policies_dirty_ = true;
  bool read_again_ = false;  // something read was not kept
  bool publish_again_ = false;
  bool hold_ = false;  // publish nothing before the directories were read once
  std::string damage_;
  Seconds damage_told_{0}, forgot_at_{0}, published_at_{-1000};
  bool limit_told_ = false;
};

}  // namespace hallpass
