// Writing the registry of sessions: pam_hallpass.so's part.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
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
                                   s.control_group.c_str(), s.observed));
  const auto sum = record_checksum("session", session_name(s), b.GetBufferPointer(), b.GetSize());
  std::string out(reinterpret_cast<const char*>(&sum), sizeof sum);
  return out.append(reinterpret_cast<const char*>(b.GetBufferPointer()), b.GetSize());
}

}  // namespace

Status register_session(const std::string& dir, const Session& session) {
  (void)mkdir(dir.substr(0, dir.rfind('/')).c_str(), 0755);
  (void)mkdir(dir.c_str(), 0700);
  if (const Status ours = private_directory(dir); !ours) return ours;
  // Killed before the rename, this leaves a file ".new" that nobody reads; a restart of the machine empties /run.
  const std::string path = dir + "/" + session_name(session), next = path + ".new", record = sealed(session);
  const int fd = open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return Error{Errc::unavailable, next + " cannot be made"};
  const bool written = write(fd, record.data(), record.size()) == static_cast<ssize_t>(record.size());
  close(fd);
  if (written && renameat2(AT_FDCWD, next.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) return Unit{};
  const bool stands = written && errno == EEXIST;
  unlink(next.c_str());
  return Error{stands ? Errc::mismatch : Errc::unavailable, path + (stands ? " stands already" : " cannot be written")};
}

void unregister_session(const std::string& dir, const std::string& name) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(dir.c_str()), closedir);
  while (const dirent* entry = entries ? readdir(entries.get()) : nullptr) {
    const std::string note = entry->d_name;  // the record goes last: while it stands its notes are found
    if (note.starts_with(name + ".")) unlink((dir + "/" + note).c_str());
  }
  unlink((dir + "/" + name).c_str());
}

}  // namespace hallpass
