// What the agent's tests share: a directory that goes away, a journal that is read back, a clock moved by hand, a fleet
// that signs.
#pragma once

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "core/hash.h"
#include "tests/unit/support/signing.h"

namespace hallpass::testing {

class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/hallpass-test-XXXXXX";
    demand(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline void write_text(const std::string& path, std::string_view text) {
  std::ofstream(path + ".tmp", std::ios::binary) << text;
  demand(rename((path + ".tmp").c_str(), path.c_str()) == 0);
}

struct Told {
  Event event;
  std::string message;
  EventFields fields;
};

class FakeJournal final : public Journal {
 public:
  using Journal::event;
  void event(Event event, std::string_view message, const EventFields& fields) override {
    told.push_back({event, std::string(message), fields});
  }
  int count(Event e) const {
    return static_cast<int>(std::count_if(told.begin(), told.end(), [&](const Told& t) { return t.event == e; }));
  }
  bool says(Event e, std::string_view words) const {
    return std::any_of(told.begin(), told.end(),
                       [&](const Told& t) { return t.event == e && t.message.find(words) != std::string::npos; });
  }
  std::vector<Told> told;
};

// Lets chosen calls fail, and keeps what was published last.
class FakeStore final : public SnapshotStore {
 public:
  Status publish(const SnapshotContent& content, bool use_reserve) override {
    ++publishes;
    if (use_reserve ? reserve_fails : fresh_fails) return Error{Errc::unavailable, "No space left on device"};
    last = content;
    stands = true;
    used_reserve = use_reserve;
    if (on_publish) on_publish();
    return Unit{};
  }
  Status set_space_aside() override { return Unit{}; }
  Status remove_snapshot() override {
    if (remove_fails) return Error{Errc::unavailable, "Read-only file system"};
    stands = false;
    return Unit{};
  }
  Status mark_withdrawn(const std::string&) override {
    marked = true;
    return Unit{};
  }
  Status clear_withdrawn() override {
    marked = false;
    return Unit{};
  }
  // Who could log in now, by what stands: "account/id", sorted.
  std::vector<std::string> admitted(UnixTime now) const {
    std::vector<std::string> ids;
    if (!stands || marked) return ids;
    for (const Admission& a : last.admissions) {
      if (a.start <= now && now < a.end) ids.push_back(a.account + "/" + a.id);
    }
    std::sort(ids.begin(), ids.end());
    return ids;
  }
  const Waiting* waiting(std::string_view account, std::string_view subject) const {
    for (const Waiting& w : last.waiting) {
      if (w.account == account && w.subject == subject) return &w;
    }
    return nullptr;
  }
  bool fresh_fails = false, reserve_fails = false, remove_fails = false;
  bool stands = false, marked = false, used_reserve = false;
  int publishes = 0;
  std::function<void()> on_publish;
  SnapshotContent last;
};

inline constexpr long long kStart = 1'800'000'000;  // 2027-01-15T08:00:00Z

struct FakeClock {
  long long wall = kStart, boottime = 1000;
  char boot = 'a';
  bool synchronised = true;
  void pass(long long seconds) {
    wall += seconds;
    boottime += seconds;
  }
  ClockReading read() const {
    ClockReading r{from_unix(wall), Seconds{boottime}, {}, synchronised};
    r.boot_id.fill(boot);
    return r;
  }
};

// alice asks; bob, carol approve; ana and ben are the admins.
struct TestFleet {
  std::vector<std::string> people = {"alice", "bob", "carol", "ana", "ben"};
  std::int64_t version = 1;
  std::string leads = "\"bob\", \"carol\"";
  std::string keys_of_alice = "alice";  // whose test key the policy lists as hers
  std::string valid_until = "2028-01-01T00:00:00Z";

  static TestKey key(std::string_view name) { return TestKey::plain(name); }
  std::string policy() const {
    std::string text = "format = 1\nfleet = \"acme\"\nversion = " + std::to_string(version) +
                       "\nvalid_until = " + valid_until +
                       "\npresence = \"none\"\n[admins]\npeople = [\"ana\", \"ben\"]\nthreshold = 2\n";
    for (const std::string& p : people) {
      text += "[people." + p + "]\nkeys = [\"" + key(p == "alice" ? keys_of_alice : p).line() + "\"]\n";
    }
    return text + "[groups]\nsre = [\"alice\"]\nleads = [" + leads +
           "]\n"
           "[runbooks.login]\naccount = \"self\"\nmax_duration = \"1h\"\n"
           "[runbooks.deploy]\naccount = \"deploy\"\nmax_duration = \"1h\"\n"
           "[[rules]]\nrunbooks = [\"login\"]\nrequesters = [\"sre\"]\ntargets = [\"env=prod\"]\n"
           "gates = [ { from = [\"leads\"], count = 1 } ]\n"
           "[[rules]]\nrunbooks = [\"deploy\"]\nrequesters = [\"sre\", \"leads\"]\ntargets = [\"env=prod\"]\n";
  }
  std::string sign(const std::string& text, const std::vector<std::string>& signers = {"ana", "ben"},
                   const std::string& fleet = "acme") const {
    const std::string payload = policy_payload(fleet, version, sha256(text));
    std::string list;
    for (const std::string& s : signers) {
      const Bytes sig = key(s).sign(kPolicyNamespace, as_bytes(dsse_message(kPolicyPayloadType, payload)));
      list += (list.empty() ? "" : ",") + std::string(R"({"keyid":")") + key(s).fingerprint() + R"(","sig":")" +
              base64_encode(sig) + R"("})";
    }
    return R"({"payload":")" + base64_encode(as_bytes(payload)) + R"(","payloadType":")" +
           std::string(kPolicyPayloadType) + R"(","signatures":[)" + list + "]}\n";
  }
  void put_policy(const std::string& directory, const std::string& name = "policy.toml") const {
    write_text(directory + "/" + name, policy());
    write_text(directory + "/" + name + ".sig", sign(policy()));
  }
  std::optional<LogTrust> log;
  Trust trust() const {
    Trust t;
    t.log = log;
    t.fleet = "acme";
    t.admins.threshold = 2;
    for (const char* a : {"ana", "ben"}) t.admins.people[a] = {PublicKey::from_line(key(a).line()).value()};
    return t;
  }
  Request request(const std::string& subject, const std::string& runbook, long long at,
                  long long seconds = 1800) const {
    std::vector<Diagnostic> ignored;
    Request r;
    r.fleet = "acme";
    r.subject = subject;
    r.runbook = runbook;
    r.runbook_digest = parse_policy(policy(), ignored)->runbooks.find(runbook)->second.digest;
    r.targets = {Selector::parse("host=web-3").value()};
    r.duration = Seconds{seconds};
    r.reason = "502s on checkout";
    r.requested_at = from_unix(at);
    r.respond_by = from_unix(at) + kDefaultRespondBy;
    r.nonce = std::to_string(1000000 + ++nonce_) + std::string(15, 'A');
    return r;
  }
  static Digest id(const Request& r) { return sha256(format_payload(r)); }
  static std::string line(const std::string& signer, const Payload& payload) {
    return sign_payload(key(signer), kind_of(payload), format_payload(payload)) + "\n";
  }
  static Decision decision(const Request& r, const std::string& by, bool approve, long long at) {
    Decision d;
    d.fleet = "acme";
    d.request = id(r);
    d.by = by;
    d.approve = approve;
    d.decided_at = from_unix(at);
    return d;
  }
  static Revocation revocation(const std::string& by, long long at) {
    Revocation v;
    v.fleet = "acme";
    v.by = by;
    v.revoked_at = from_unix(at);
    v.reason = "test";
    return v;
  }

 private:
  mutable int nonce_ = 0;
};

// A host in a directory: an agent with everything fake but its files.
struct TestHost {
  TempDir dir;
  TestFleet fleet;
  FakeClock clock;
  FakeJournal journal;
  FakeStore store;
  HostConfig config;
  std::unique_ptr<Agent> agent;
  int files = 0;

  TestHost() {
    for (const char* d : {"/etc", "/inbox", "/var", "/var/lib", "/var/lib/hallpass", "/run", "/run/hallpass"}) {
      demand(mkdir((dir.path() + d).c_str(), 0700) == 0);
    }
    write_text(dir.path() + "/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    config.host = {"web-3", {{"env", "prod"}}};
    config.directories = {"/inbox"};
  }
  std::string inbox() const { return dir.path() + "/inbox"; }
  bool start() {
    agent.reset();
    AgentSeams seams;
    seams.clock = [this] { return clock.read(); };
    seams.zones = [](const std::set<std::string>&) -> Result<ZoneTable> { return ZoneTable{}; };
    seams.journal = &journal;
    seams.store = &store;
    seams.ledger.first_size = 1U << 20;
    agent = std::make_unique<Agent>(Layout{dir.path()}, config, fleet.trust(), std::move(seams));
    const bool started = static_cast<bool>(agent->start());
    run();
    return started;
  }
  void run() {
    agent->read_notifications();
    while (agent->work(1000)) continue;
  }
  // A file arrives and is read.
  void put(const std::string& lines, std::string name = "") {
    if (name.empty()) name = "f" + std::to_string(++files) + ".grant";
    write_text(inbox() + "/" + name, lines);
    if (agent) run();
  }
  void pass(long long seconds) {
    clock.pass(seconds);
    agent->time_passed();
  }
  std::vector<std::string> admitted() const { return store.admitted(agent->clock().now()); }
  bool admits(const Request& r) const {
    const std::string id = grant_id(TestFleet::id(r));
    const std::vector<std::string> all = admitted();
    return std::any_of(all.begin(), all.end(), [&](const std::string& a) { return a.substr(a.find('/') + 1) == id; });
  }
};

}  // namespace hallpass::testing
