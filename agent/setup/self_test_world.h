// What the self-test's programs see: this host with the changed files, a store of admissions made for one throw-away
// account, and nothing of what the real agent keeps. A mount namespace: it goes with the last process in it.
#pragma once

#include <map>
#include <string>

#include "agent/setup/activation.h"
#include "agent/setup/self_test_account.h"
#include "agent/setup/self_test_plan.h"
#include "host/snapshot_writer.h"

namespace hallpass {

// A directory of the host that stays empty; in the namespace a tmpfs with all that the self-test writes.
inline constexpr char kSelfTestPlace[] = "/run/hallpass-selftest";
inline constexpr char kSelfTestHome[] = "/run/hallpass-selftest/home";

class TestWorld {
 public:
  // Moves the calling process, which must do nothing else afterwards, into a namespace of its own and puts the changed
  // files in place. Errors: unavailable.
  static Result<TestWorld> enter(const Changes& changes, const ThrowAway& who);

  const ThrowAway& who() const { return who_; }
  const std::string& exempt_group() const { return exempt_group_; }
  std::string key_file() const { return std::string(kSelfTestPlace) + "/key"; }
  std::string log_file() const { return std::string(kSelfTestPlace) + "/sshd.log"; }
  std::string known_hosts() const { return std::string(kSelfTestPlace) + "/known_hosts"; }
  // The id of the grant in the store: "trial-k3v9".
  std::string grant() const { return "trial-" + who_.name.substr(std::string(kSelfTestPrefix).size()); }

  // A fresh key of `type` (ssh-keygen's) that the policy would list, and that stands in the account's key file.
  // Errors: unavailable.
  Status make_key(const std::string& type);
  // The store of admissions: with one for the account, or without. Errors: unavailable.
  Status store(bool admitted);
  Status damage_store();
  // Makes the account a member of the exempt group, in the copy of /etc/group. Errors: unavailable.
  Status exempt(bool is_member);
  // Puts `bytes` in the place of a file of the host. Errors: unavailable.
  Status cover(const std::string& path, const FileContent& content);
  Status write(const std::string& name, const std::string& bytes, unsigned mode);

 private:
  explicit TestWorld(ThrowAway who) : who_(std::move(who)) {}
  Status put_in_place(const MountPlan& plan);
  Status own_directories();
  Status rebuild(const std::string& directory, const MountPlan& plan);
  Status add(const std::string& path, const FileContent& content);
  void look_at_host();

  ThrowAway who_;
  std::string exempt_group_, group_file_;
  std::string group_copy_;                      // where the copy of /etc/group lies
  std::map<std::string, std::string> rebuilt_;  // a directory of the host: where its new one lies
  int numbered_ = 0;
  SnapshotMeta meta_;
  AccountKey key_;
};

}  // namespace hallpass
