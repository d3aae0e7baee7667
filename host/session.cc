// Reading the registry of sessions.
#include "host/session.h"

#include <charconv>
#include <cstring>

#include "host/key_record.h"
#include "host/session_generated.h"
#include "host/small_file.h"
#include "host/snapshot_record.h"

namespace hallpass {
namespace {

std::string proc_file(pid_t pid, const char* name) {
  return "/proc/" + (pid == 0 ? "self" : std::to_string(pid)) + "/" + name;
}

std::string text(const flatbuffers::String* s) {
  return s == nullptr ? std::string() : s->str();
}

Session decoded(const fb::Session& r) {
  Session s;
  s.audit = r.audit();
  s.logind = text(r.logind());
  s.subject = text(r.subject());
  s.account = text(r.account());
  s.uid = r.uid();
  s.grant_id = text(r.grant_id());
  if (r.grant() != nullptr && r.grant()->size() == s.grant.bytes.size())
    memcpy(s.grant.bytes.data(), r.grant()->data(), s.grant.bytes.size());
  s.end = from_unix(r.end());
  s.leader = r.leader();
  s.leader_start = text(r.leader_start());
  s.control_group = text(r.control_group());
  s.observed = r.observed();
  return s;
}

}  // namespace

std::optional<std::uint32_t> audit_session(pid_t pid) {
  const auto said = read_small_file(proc_file(pid, "sessionid"), Keeper::anyone);
  std::uint32_t id = kNoAuditSession;
  if (!said) return std::nullopt;
  const char* end = said->data() + said->size();
  const auto read = std::from_chars(said->data(), end, id);
  if (read.ec != std::errc() || read.ptr != end || id == kNoAuditSession) return std::nullopt;
  return id;
}

std::string control_group(pid_t pid) {
  const auto said = read_small_file(proc_file(pid, "cgroup"), Keeper::anyone);
  std::string_view rest = said ? std::string_view(*said) : std::string_view(), found;
  // "0::/path" is the unified hierarchy; "7:name=systemd:/path" systemd's own, where it does not use the unified one.
  while (!rest.empty()) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const auto name = line.find(':'), path = line.find(':', name + 1);
    if (name == std::string_view::npos || path == std::string_view::npos) continue;
    const auto hierarchy = line.substr(name + 1, path - name - 1), group = line.substr(path + 1);
    const bool unified = hierarchy.empty() && group != "/";
    if (unified || (hierarchy == "name=systemd" && found.empty())) found = group;
  }
  return std::string(found);
}

bool leader_lives(const Session& session) {
  return !session.leader_start.empty() && process_start(session.leader) == session.leader_start;
}

std::string session_name(const Session& session) {
  return session.audit == kNoAuditSession ? "logind-" + session.logind : std::to_string(session.audit);
}

Result<Session> read_session(const std::string& dir, const std::string& key) {
  if (const Status ours = private_directory(dir); !ours) return ours.error();
  const auto bytes = read_small_file(dir + "/" + key, Keeper::us_alone);
  if (!bytes) return bytes.error();
  const Error damaged{Errc::malformed, "the record of session " + key + " is damaged"};
  std::uint64_t sum = 0;
  if (bytes->size() <= sizeof sum) return damaged;
  memcpy(&sum, bytes->data(), sizeof sum);
  const std::size_t size = bytes->size() - sizeof sum;
  std::vector<std::uint64_t> aligned(size / 8 + 1);
  memcpy(aligned.data(), bytes->data() + sizeof sum, size);
  const auto* record = reinterpret_cast<const std::uint8_t*>(aligned.data());
  if (record_checksum("session", key, record, size) != sum) return damaged;
  flatbuffers::Verifier verifier(record, size);
  if (!verifier.VerifyBuffer<fb::Session>(nullptr)) return damaged;
  Session session = decoded(*flatbuffers::GetRoot<fb::Session>(record));
  if (session_name(session) != key || session.subject.empty() || session.account.empty()) return damaged;
  return session;
}

}  // namespace hallpass
