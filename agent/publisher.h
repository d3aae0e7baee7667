// Puts the snapshot of admissions in place, and makes sure that what was taken away is gone even when nothing can be
// written.
//
// Widening (someone gains) may fail: the old snapshot stays, and it is tried again. Narrowing (someone loses before the
// time that the old snapshot itself names) must not: fresh space, then the space set aside, then no snapshot at all,
// then a mark on a memory file system that tells readers not to believe it. The ledger has recorded everything before
// it comes here, so a crash at any point is repaired by publishing again at the next start.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/journal.h"
#include "host/snapshot_writer.h"

namespace hallpass {

// The files, as a seam: unit tests let any of these fail.
class SnapshotStore {
 public:
  virtual ~SnapshotStore() = default;
  virtual Status publish(const SnapshotContent& content, bool use_reserve) = 0;
  virtual Status set_space_aside() = 0;  // for the next narrowing
  virtual Status remove_snapshot() = 0;
  virtual Status mark_withdrawn(const std::string& why) = 0;
  virtual Status clear_withdrawn() = 0;
};

class FileSnapshotStore final : public SnapshotStore {
 public:
  FileSnapshotStore(std::string snapshot, std::string withdrawn);
  Status publish(const SnapshotContent& content, bool use_reserve) override;
  Status set_space_aside() override;
  Status remove_snapshot() override;
  Status mark_withdrawn(const std::string& why) override;
  Status clear_withdrawn() override;

 private:
  std::string snapshot_, withdrawn_;
  std::size_t last_size_ = 0;
};

// What an admission lets somebody do, and everything else in its record: Admission::what.
Digest what_it_says(const Admission& admission);

class Publisher {
 public:
  Publisher(SnapshotStore& store, Journal& journal) : store_(store), journal_(journal) {}

  // The snapshot that an earlier process left admits nobody whom `content` does not: if nothing can be written, it may
  // stay.
  void believe_standing(const SnapshotContent& content);
  // True when `content` says something else than what stands.
  bool differs(const SnapshotContent& content) const { return differs(said_by(content)); }
  // Makes `content` what stands. On an error the old snapshot stands, or none if it would admit what this one does not.
  Status publish(const SnapshotContent& content, UnixTime now);
  // Both in one; nullopt: it says the same.
  std::optional<Status> publish_if_different(const SnapshotContent& content, UnixTime now);
  // Nothing may be believed: a denial, revocation or policy could not be recorded. Until the next publish.
  void withdraw(const std::string& why);

  void set_space_aside();
  bool withdrawn() const { return withdrawn_; }
  // The space for the next narrowing could not be set aside; empty: it is there.
  const std::string& shortage() const { return shortage_; }

 private:
  // One thing that the snapshot lets somebody do, until when.
  struct Power {
    Digest what;
    UnixTime until;
    bool operator<(const Power& other) const { return what < other.what; }
    bool operator==(const Power& other) const { return what == other.what; }
  };
  // All that a snapshot says.
  struct Said {
    std::vector<Power> powers;
    Digest rest;
  };
  static Said said_by(const SnapshotContent& content) { return {powers_of(content), rest_of(content)}; }
  static std::vector<Power> powers_of(const SnapshotContent& content);
  static Digest rest_of(const SnapshotContent& content);
  bool differs(const Said& next) const;
  bool narrows(const std::vector<Power>& next, UnixTime now) const;
  Status put_in_place(const SnapshotContent& content, Said next, UnixTime now);

  SnapshotStore& store_;
  Journal& journal_;
  bool published_ = false;  // false: what stands may be anything
  bool withdrawn_ = false;
  Said said_;  // by what stands
  std::string shortage_;
};

}  // namespace hallpass
