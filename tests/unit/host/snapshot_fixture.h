// A scratch directory and a snapshot in it, for tests of what reads snapshots.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "host/snapshot_reader.h"
#include "host/snapshot_writer.h"

namespace hallpass::test {

inline constexpr char kMachine[] = "0123456789abcdef0123456789abcdef";
inline constexpr char kAliceKey[] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDp5RsCy7Df+6D0gJBL3pR3V1FvJO2D9fx/2F+RVAnRC";
inline constexpr char kAlicePrint[] = "SHA256:vW11YGZVv/E/oyM5O7Z/a3p7BNWKgIbk4gSKVSO63kY";
inline constexpr char kBobKey[] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB";
inline constexpr char kBobPrint[] = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB";

class ScratchDir {
 public:
  ScratchDir() {
    char name[] = "/tmp/hallpass-test-XXXXXX";
    if (mkdtemp(name) == nullptr) std::abort();
    path_ = name;
  }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  ~ScratchDir() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

inline std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline Digest digest_of(std::uint8_t number) {
  Digest d;
  d.bytes.fill(number);
  return d;
}

inline Admission admission(const char* account, const char* subject, long long start, long long end,
                           std::uint8_t number = 1) {
  Admission a;
  a.account = account;
  a.subject = subject;
  a.id = "k7m3-9x2d-q4fh";
  a.runbook = "restart-web";
  a.reason = "502s on checkout";
  a.ticket = "INC-2031";
  a.approvers = {"bob", "ana"};
  a.grant = digest_of(number);
  a.start = from_unix(start);
  a.end = from_unix(end);
  a.personal = std::string(account) == subject;
  return a;
}

// alice on her own account (1000 <= t < 2000) and on `deploy` with bob, whose admission there is over at 1500. carol
// waits.
inline SnapshotContent content() {
  SnapshotContent c;
  c.meta.fleet = "test";
  c.meta.host = "web-3";
  c.meta.machine_id = kMachine;
  c.meta.policy_version = 7;
  c.meta.generation = 42;
  c.meta.standing_sudo_denied = true;
  c.meta.valid_until = from_unix(9000);
  c.admissions = {admission("deploy", "alice", 1000, 2000, 2), admission("alice", "alice", 1000, 2000),
                  admission("deploy", "bob", 1000, 1500, 3)};
  c.admissions[0].commands = {{Command::Kind::run,
                               "root",
                               "",
                               {"/usr/bin/systemctl"},
                               {"restart", "nginx"},
                               "",
                               Subcommands::deny,
                               {"LANG"},
                               false,
                               false}};
  c.keys = {{"alice", kAlicePrint, "alice", kAliceKey, true},
            {"deploy", kAlicePrint, "alice", kAliceKey, false},
            {"deploy", kBobPrint, "bob", kBobKey, false}};
  c.waiting = {
      {"deploy", "bob", "ended", "aaaa-bbbb-cccc", "", from_unix(1500), {"deploy-web", "restart-web"}},
      {"alice", "alice", "pending", "k7m3-9x2d-q4fh", "waits for 1 approval of sre-leads", {}, {"restart-web"}}};
  return c;
}

// Writes the snapshot and a machine id; where() finds them.
class Store {
 public:
  explicit Store(const SnapshotContent& c) {
    write_text(dir_ / "machine-id", std::string(kMachine) + "\n");
    write(c);
  }
  void write(const SnapshotContent& c) const {
    const auto image = build_snapshot(c);
    if (!image || !publish_snapshot(*image, path(), false)) std::abort();
    close(*image);
  }
  std::string path() const { return dir_ / "admissions.mdb"; }
  SnapshotReader::Where where() const {
    SnapshotReader::Where w;
    w.snapshot = path();
    w.withdrawn = dir_ / "withdrawn";
    w.machine_id_file = dir_ / "machine-id";
    w.owner = geteuid();
    return w;
  }
  Result<SnapshotReader> open() const { return SnapshotReader::open(where()); }
  const ScratchDir& dir() const { return dir_; }

 private:
  ScratchDir dir_;
};

}  // namespace hallpass::test
