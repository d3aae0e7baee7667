#include "cli/workspace.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <system_error>

#include "cli/config.h"
#include "cli/output.h"
#include "core/edge/files.h"
#include "core/edge/tzdb.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr std::size_t kMaxIdsShown = 5;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string error_words(int number) {
  return std::generic_category().message(number);
}

// Names ending in ".grant", sorted; dot files are somebody's temporaries.
Result<std::vector<std::string>> grant_names(const std::string& dir) {
  DIR* stream = opendir(dir.c_str());
  if (stream == nullptr)
    return Error{Errc::unavailable, fmt::format("cannot read {}: {}", printable(dir), error_words(errno))};
  std::vector<std::string> names;
  while (const dirent* entry = readdir(stream)) {  // NOLINT(concurrency-mt-unsafe): a stream of our own
    std::string name = entry->d_name;
    if (name.ends_with(".grant") && name[0] != '.') names.push_back(std::move(name));
  }
  closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

Result<StatementPool> read_statements(const std::string& dir, const Policy& policy) {
  const auto names = grant_names(dir);
  if (!names) return names.error();
  const Descriptor dir_fd(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir_fd.get() < 0)
    return Error{Errc::unavailable, fmt::format("cannot open {}: {}", printable(dir), error_words(errno))};
  StatementPool pool;
  for (const std::string& name : names.value()) {
    const auto content = read_file(dir_fd.get(), name, kMaxGrantFile);
    if (content) {
      read_grant_file(content.value(), name, policy.fleet, policy, pool);
    } else {
      pool.rejected.push_back({name, 0, content.error()});
    }
  }
  std::sort(pool.statements.begin(), pool.statements.end());
  pool.statements.erase(std::unique(pool.statements.begin(), pool.statements.end()), pool.statements.end());
  return pool;
}

Result<Hosts> load_hosts(const std::string& dir) {
  const std::string path = dir + "/hosts.toml";
  const auto text = read_file(AT_FDCWD, path, kMaxTomlBytes, true);
  if (!text) return text.error().code == Errc::not_found ? Result<Hosts>(Hosts{}) : Result<Hosts>(text.error());
  std::vector<Diagnostic> diagnostics;
  auto hosts = parse_hosts(text.value(), diagnostics);
  if (!hosts) return Error{Errc::malformed, join_diagnostics("hosts.toml", diagnostics)};
  return *std::move(hosts);
}

std::string verb_of(const Statement& s) {
  if (s.kind() == StatementKind::request) return "request";
  if (s.kind() == StatementKind::revocation) return "revoke";
  return s.decision()->approve ? "approve" : "deny";
}

// Which grant a statement is about; nullopt for revocations of a subject or a key.
std::optional<Digest> grant_of(const Statement& s) {
  if (s.request() != nullptr) return s.payload_digest();
  if (s.decision() != nullptr) return s.decision()->request;
  if (s.revocation()->form == Revocation::Form::request) return s.revocation()->request;
  return std::nullopt;
}

std::string file_name_with(const Statement& s, std::size_t digits) {
  const std::string digest = hex_encode(s.payload_digest().bytes).substr(0, digits);
  std::string about;
  if (const auto grant = grant_of(s)) {
    about = grant_id(*grant);
  } else if (s.revocation()->form == Revocation::Form::subject) {
    about = "subject-" + s.revocation()->subject;
  } else {
    about = "key";
  }
  return fmt::format("{}-{}-{}.grant", about, verb_of(s), digest);
}

}  // namespace

std::string_view to_string(PolicyTrust::Level level) {
  switch (level) {
    case PolicyTrust::Level::verified:
      return "verified";
    case PolicyTrust::Level::self_signed:
      return "self-signed";
    case PolicyTrust::Level::unsigned_:
      break;
  }
  return "unsigned";
}

std::string statement_file_name(const Statement& statement) {
  return file_name_with(statement, 8);
}

void read_grant_file(std::string_view content, const std::string& name, std::string_view fleet, const KeyRing& keys,
                     StatementPool& into) {
  int number = 0;
  for (const std::string_view line : grant_file_lines(content)) {
    ++number;
    auto statement = open_statement(line, fleet, keys);
    if (statement) {
      into.statements.push_back(std::move(statement).value());
    } else {
      into.rejected.push_back({name, number, statement.error()});
    }
  }
}

Result<Workspace> Workspace::open(const std::string& dir) {
  Workspace w;
  w.dir_ = dir;
  w.place_ = shorten_home(dir);
  if (access(dir.c_str(), R_OK | X_OK) != 0) {
    return Error{Errc::unavailable, fmt::format("cannot use the directory {}: {}", printable(dir), error_words(errno))};
  }
  auto policy = load_policy(dir + "/policy.toml");
  if (!policy) return policy.error();
  w.policy_ = std::move(policy).value();
  const auto trust = load_trust();
  if (!trust) return trust.error();
  const auto sig = read_file(AT_FDCWD, dir + "/policy.toml.sig", kMaxSignatureFile, true);
  w.trust_ = check_policy_trust(*w.policy_, sig ? sig.value() : "", kept_policies(dir), trust.value());
  auto hosts = load_hosts(dir);
  if (!hosts) return hosts.error();
  w.hosts_ = std::move(hosts).value();
  auto zones = load_zones(w.policy_->zone_names());
  if (!zones) return zones.error();
  w.zones_ = std::move(zones).value();
  if (auto read = w.reload(); !read) return read.error();
  return w;
}

Status Workspace::reload() {
  auto pool = read_statements(dir_, *policy_);
  if (!pool) return pool.error();
  pool_ = std::move(pool).value();
  about_.clear();
  about_all_.clear();
  for (const Statement& s : pool_.statements) file_under_grant(s);
  return Unit{};
}

std::vector<Rejected> Workspace::add(std::string_view grant_file, const std::string& name) {
  StatementPool pool;
  read_grant_file(grant_file, name, policy_->fleet, *policy_, pool);
  for (const Statement& s : pool.statements) add(s);
  return std::move(pool.rejected);
}

void Workspace::add(const Statement& statement) {
  auto& all = pool_.statements;
  const auto at = std::lower_bound(all.begin(), all.end(), statement);
  if (at != all.end() && *at == statement) return;
  all.insert(at, statement);
  file_under_grant(statement);
}

void Workspace::file_under_grant(const Statement& statement) {
  if (const auto grant = grant_of(statement)) {
    about_[*grant].push_back(statement);
  } else {
    about_all_.push_back(statement);
  }
}

std::vector<const Statement*> Workspace::requests() const {
  std::vector<const Statement*> out;
  std::set<Digest> seen;
  for (const Statement& s : pool_.statements) {
    // One payload signed by two keys of its subject is one grant.
    if (s.request() != nullptr && seen.insert(s.payload_digest()).second) out.push_back(&s);
  }
  std::sort(out.begin(), out.end(), [](const Statement* a, const Statement* b) {
    return std::pair(a->request()->requested_at, a->payload_digest()) <
           std::pair(b->request()->requested_at, b->payload_digest());
  });
  return out;
}

const Statement* Workspace::request(const Digest& grant) const {
  const auto found = about_.find(grant);
  if (found == about_.end()) return nullptr;
  const auto& all = found->second;
  const auto it = std::find_if(all.begin(), all.end(), [](const Statement& s) { return s.request() != nullptr; });
  return it == all.end() ? nullptr : &*it;
}

std::vector<Statement> Workspace::bearing_on(const Digest& grant) const {
  std::vector<Statement> out;
  if (const auto found = about_.find(grant); found != about_.end()) out = found->second;
  out.insert(out.end(), about_all_.begin(), about_all_.end());
  return out;
}

Judgement Workspace::judge(const Digest& grant, const HostIdentity* host, UnixTime now) const {
  return judge(bearing_on(grant), grant, host, now);
}

Judgement Workspace::judge(std::span<const Statement> statements, const Digest& grant, const HostIdentity* host,
                           UnixTime now) const {
  return hallpass::judge(grant, statements, *policy_, host, now, zones_);
}

Result<Digest> Workspace::find_grant(std::string_view typed) const {
  const auto prefix = parse_grant_id_prefix(typed);
  if (!prefix)
    return Error{
        Errc::malformed,
        fmt::format("\"{}\" is not a grant's id; ids look like k7m3-9x2d-q4fh (hallpass list)", printable(typed))};
  std::vector<Digest> found;
  for (const Statement* s : requests()) {
    if (grant_id_has_prefix(s->payload_digest(), prefix.value())) found.push_back(s->payload_digest());
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return Error{Errc::not_found,
                 fmt::format("no grant {} in {}; `hallpass list --all` shows what is there", printable(typed), place_)};
  }
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < found.size() && i < kMaxIdsShown; ++i) ids.push_back(grant_id(found[i]));
  if (found.size() > kMaxIdsShown) ids.push_back(fmt::format("and {} more", found.size() - kMaxIdsShown));
  return Error{Errc::mismatch,
               fmt::format("ambiguous id {}: {}", printable(typed), fmt::to_string(fmt::join(ids, ", ")))};
}

bool Workspace::holds(const Statement& statement) const {
  const Descriptor dir_fd(::open(dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const std::size_t digits : {std::size_t{8}, std::size_t{64}}) {
    const auto content = read_file(dir_fd.get(), file_name_with(statement, digits), kMaxGrantFile);
    if (content && content.value() == statement.envelope() + "\n") return true;
  }
  const auto pool = read_statements(dir_, *policy_);
  return pool && std::binary_search(pool->statements.begin(), pool->statements.end(), statement);
}

Result<std::string> Workspace::publish(const Statement& statement) {
  const std::string content = statement.envelope() + "\n";
  Error last{Errc::unavailable, ""};
  // The second name is for the day when somebody's file has the first one.
  for (const std::size_t digits : {std::size_t{8}, std::size_t{64}}) {
    const std::string name = file_name_with(statement, digits);
    const auto written = create_file_durably(dir_ + "/" + name, content, 0644);
    if (written) {
      add(statement);
      return name;
    }
    last = written.error();
    if (last.code != Errc::mismatch) break;
    const auto there = read_file(AT_FDCWD, dir_ + "/" + name, kMaxGrantFile);
    if (there && there.value() == content) return name;
  }
  return Error{Errc::unavailable, last.message};
}

}  // namespace hallpass::cli
