// Writing the registry of sessions: pam_hallpass.so's part.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>

#include "host/session.h"
#include "host/session_generated.h"
#include "host/small_file.h"
#include "host/snapshot_record.h"

namespace hallpass {
namespace {

std::string sealed(const Session& s) {
  flatbuffers::FlatBufferBuilder b;
  const std::vector<std::uint8_t> grant(s.grant.bytes.begin(), s.grant.bytes.end());
  b.Finish(fb::CreateSessionDirect(b, s.audit, s.logind.c_str(), s.subject.c_str(), s.account.c_str(), s.uid,
                                   s.grant_id.c_str(), &grant, to_unix(s.end), s.leader, s.leader_start.c_str(),
                                   s.control_group.c_str()));
  const auto sum = record_checksum("session", std::to_string(s.audit), b.GetBufferPointer(), b.GetSize());
  std::string out(reinterpret_cast<const char*>(&sum), sizeof sum);
  return out.append(reinterpret_cast<const char*>(b.GetBufferPointer()), b.GetSize());
}

// Calls each(name) for the names in `dir`, until it says no.
template <class Each>
void for_each_name(const std::string& dir, Each each) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(dir.c_str()), closedir);
  while (const dirent* entry = entries ? readdir(entries.get()) : nullptr) {
    if (!each(std::string(entry->d_name))) return;
  }
}

// Nothing tells us when a session is over: close_session runs before the session's processes are gone, and what they
// are is still to be known then. So each login takes away some records that others left, and /run does not fill.
void remove_dead(const std::string& dir, std::uint32_t own) {
  int left = 16;
  for_each_name(dir, [&](const std::string& name) {
    std::uint32_t audit = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), audit);
    if (read.ec != std::errc() || *read.ptr != '\0' || audit == own) return true;
    const auto session = read_session(dir, audit);
    if (session && !leader_lives(*session)) unregister_session(dir, audit), --left;
    return left > 0;
  });
}

}  // namespace

Status register_session(const std::string& dir, const Session& session) {
  (void)mkdir(dir.substr(0, dir.rfind('/')).c_str(), 0755);
  (void)mkdir(dir.c_str(), 0700);
  if (const Status ours = private_directory(dir); !ours) return ours;
  const auto there = read_session(dir, session.audit);
  if (there && leader_lives(*there)) return Error{Errc::mismatch, "that audit session is registered already"};
  if (!there && there.error().code != Errc::not_found) return there.error();
  unregister_session(dir, session.audit);
  // Killed before the rename, this leaves a file ".new" that nobody reads; a restart of the machine empties /run.
  const std::string path = dir + "/" + std::to_string(session.audit), next = path + ".new", record = sealed(session);
  const int fd = open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return Error{Errc::unavailable, next + " cannot be made"};
  const bool written = write(fd, record.data(), record.size()) == static_cast<ssize_t>(record.size());
  close(fd);
  if (!written || renameat2(AT_FDCWD, next.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0) {
    unlink(next.c_str());
    return Error{Errc::unavailable, path + " cannot be written"};
  }
  remove_dead(dir, session.audit);
  return Unit{};
}

void unregister_session(const std::string& dir, std::uint32_t audit) {
  const std::string own = std::to_string(audit);
  for_each_name(dir, [&](const std::string& name) {  // the record goes last: while it stands its notes are found
    if (name.starts_with(own + ".")) unlink((dir + "/" + name).c_str());
    return true;
  });
  unlink((dir + "/" + own).c_str());
}

}  // namespace hallpass
