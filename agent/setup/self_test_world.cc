#include "agent/setup/self_test_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "agent/program.h"
#include "agent/setup/self_test_words.h"
#include "core/edge/files.h"
#include "core/ssh_key.h"
#include "host/paths.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{16} * 1024 * 1024;
constexpr char kGroupFile[] = "/etc/group";
constexpr char kPamFile[] = "/etc/pam.d/sshd";
constexpr char kAccessFile[] = "/etc/security/access.conf";
constexpr Seconds kGrantLasts{600};

Error failed(const std::string& what) {
  return {Errc::unavailable, "the self-test cannot " + what + ": " + std::strerror(errno)};
}

bool is_there(const std::string& path) {
  struct stat at {};
  return lstat(path.c_str(), &at) == 0;
}

std::string text_of(const std::string& path) {
  const Result<std::string> text = read_file(AT_FDCWD, path, kMaxFileBytes, true);
  return text ? *text : std::string();
}

// Where the host has SELinux, what it lets sshd and sudo do with a file is in here.
void copy_label(const std::string& from, const std::string& to) {
  char label[512];
  const ssize_t size = getxattr(from.c_str(), "security.selinux", label, sizeof label);
  if (size > 0) setxattr(to.c_str(), "security.selinux", label, static_cast<std::size_t>(size), 0);
}

Status write_file(const std::string& path, const std::string& bytes, unsigned mode, uid_t uid = 0, gid_t gid = 0) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return failed("write " + path);
  const bool done = write_all(fd, bytes) && fchown(fd, uid, gid) == 0 && fchmod(fd, mode) == 0;
  const Status status = done ? Status(Unit{}) : failed("write " + path);
  close(fd);
  return status;
}

Status make_directory(const std::string& path, unsigned mode, uid_t uid = 0, gid_t gid = 0) {
  if (mkdir(path.c_str(), 0700) != 0 || chown(path.c_str(), uid, gid) != 0 || chmod(path.c_str(), mode) != 0)
    return failed("make " + path);
  return Unit{};
}

Status bind_over(const std::string& from, const std::string& over) {
  if (mount(from.c_str(), over.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return failed("put something in the place of " + over);
  return Unit{};
}

// What an entry of a directory is: linked again where it is a link, else the same thing, bound.
Status mirror_entry(const std::string& from, const std::string& to) {
  struct stat at {};
  if (lstat(from.c_str(), &at) != 0) return errno == ENOENT ? Status(Unit{}) : failed("look at " + from);
  if (S_ISLNK(at.st_mode)) {
    std::string target(4096, '\0');
    const ssize_t size = readlink(from.c_str(), target.data(), target.size());
    target.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return symlink(target.c_str(), to.c_str()) == 0 ? Status(Unit{}) : failed("link " + to);
  }
  const Status made = S_ISDIR(at.st_mode) ? make_directory(to, 0755) : write_file(to, "", 0600);
  return made ? bind_over(from, to) : made;
}

Status enter_namespace() {
  if (unshare(CLONE_NEWNS) != 0) return failed("have mounts of its own");
  // What the host mounts later, such as a user's /run/user, is seen here; what is mounted here stays here.
  if (mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return failed("keep its mounts to itself");
  if (mount("hallpass-selftest", kSelfTestPlace, "tmpfs", MS_NODEV, "mode=0755,size=64m") != 0)
    return failed("have a tmpfs at " + std::string(kSelfTestPlace));
  return Unit{};
}

}  // namespace

Result<TestWorld> TestWorld::enter(const Changes& changes, const ThrowAway& who) {
  TestWorld world(who);
  world.look_at_host();
  if (Status done = enter_namespace(); !done) return done.error();
  for (const char* directory : {"/files", "/dirs"}) {
    if (Status done = make_directory(kSelfTestPlace + std::string(directory), 0755); !done) return done.error();
  }
  if (Status done = world.put_in_place(plan_mounts(changes, is_there)); !done) return done.error();
  if (Status done = world.own_directories(); !done) return done.error();
  world.exempt_group_ = exempt_group_of(text_of(kPamFile));
  return world;
}

// The real store's meta, so that the clock and the host are judged as they will be.
void TestWorld::look_at_host() {
  group_file_ = text_of(kGroupFile);
  const auto real = SnapshotReader::open();
  if (real) meta_ = real->meta();
  if (!real) {
    meta_.fleet = "selftest";
    meta_.host = "this-host";
    meta_.machine_id = text_of(paths::kMachineId);
    while (meta_.machine_id.ends_with('\n')) meta_.machine_id.pop_back();
  }
  // Otherwise sudo would tell root by mail of an account that sudoers does not know.
  meta_.standing_sudo_denied = true;
}

Status TestWorld::put_in_place(const MountPlan& plan) {
  for (const std::string& directory : plan.rebuilt) {
    if (Status done = rebuild(directory, plan); !done) return done;
  }
  for (const auto& [path, content] : plan.added) {
    if (Status done = add(path, content); !done) return done;
  }
  for (const auto& [path, content] : plan.covered) {
    if (Status done = cover(path, content); !done) return done;
  }
  if (Status done = cover(kGroupFile, {group_file_, 0644, 0, 0}); !done) return done;
  group_copy_ = std::string(kSelfTestPlace) + "/files/" + std::to_string(numbered_);
  const std::string access = with_access(text_of(kAccessFile), who_.name);
  if (access.empty()) return Unit{};
  return cover(kAccessFile, {access, 0644, 0, 0});
}

Status TestWorld::rebuild(const std::string& directory, const MountPlan& plan) {
  const std::string fresh = std::string(kSelfTestPlace) + "/dirs/" + std::to_string(++numbered_);
  struct stat at {};
  if (stat(directory.c_str(), &at) != 0) return failed("look at " + directory);
  if (Status made = make_directory(fresh, at.st_mode & 07777, at.st_uid, at.st_gid); !made) return made;
  copy_label(directory, fresh);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(directory.c_str()), closedir);
  if (!entries) return failed("read " + directory);
  while (const dirent* entry = readdir(entries.get())) {
    const std::string name = entry->d_name, path = directory + "/" + name;
    if (name == "." || name == "..") continue;
    if (std::find(plan.removed.begin(), plan.removed.end(), path) != plan.removed.end()) continue;
    if (Status done = mirror_entry(path, fresh + "/" + name); !done) return done;
  }
  rebuilt_[directory] = fresh;
  return bind_over(fresh, directory);
}

// Written where the new directory lies, not by its name: nothing here can ever reach a file of the host.
Status TestWorld::add(const std::string& path, const FileContent& content) {
  std::string directory = path.substr(0, path.rfind('/'));
  while (!directory.empty() && !rebuilt_.contains(directory)) directory.resize(directory.rfind('/'));
  const auto found = rebuilt_.find(directory);
  if (found == rebuilt_.end()) return Error{Errc::unavailable, "the self-test has no place for " + path};
  const std::string below = path.substr(directory.size());
  for (auto slash = below.find('/', 1); slash != std::string::npos; slash = below.find('/', slash + 1)) {
    const std::string parent = found->second + below.substr(0, slash);
    if (mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) return failed("make " + parent);
  }
  const Status done = write_file(found->second + below, content.bytes, content.mode, content.uid, content.gid);
  if (done) copy_label(directory, found->second + below);
  return done;
}

Status TestWorld::cover(const std::string& path, const FileContent& content) {
  const std::string copy = std::string(kSelfTestPlace) + "/files/" + std::to_string(++numbered_);
  if (Status done = write_file(copy, content.bytes, content.mode, content.uid, content.gid); !done) return done;
  copy_label(path, copy);
  return bind_over(copy, path);
}

Status TestWorld::write(const std::string& name, const std::string& bytes, unsigned mode) {
  return write_file(std::string(kSelfTestPlace) + "/" + name, bytes, mode);
}

// The agent's directories; those where sudo and PAM remember people; and nscd's, which would answer from the real
// files.
Status TestWorld::own_directories() {
  const std::string place = kSelfTestPlace, defaults = text_of(paths::kSudoDefaults);
  const std::pair<const char*, const char*> own[] = {{"/run", paths::kRunDir}, {"/lib", paths::kStateDir},
                                                     {"/sudo", "/run/sudo"},   {"/lectured", "/var/lib/sudo"},
                                                     {"/nscd", "/run/nscd"},   {"/faillock", "/run/faillock"}};
  for (const auto& [name, real] : own) {
    struct stat at {};
    if (stat(real, &at) != 0) continue;
    if (Status done = make_directory(place + name, at.st_mode & 07777, at.st_uid, at.st_gid); !done) return done;
    copy_label(real, place + name);
    if (Status done = bind_over(place + name, real); !done) return done;
  }
  if (defaults.empty()) return Unit{};
  return write_file(place + "/lib/sudoers.defaults", defaults, 0400);
}

Status TestWorld::make_key(const std::string& type) {
  const ProgramEnd end =
      run_program({{"/usr/bin/ssh-keygen", "-q", "-t", type, "-N", "", "-C", who_.name, "-f", key_file()}, {}});
  if (!end.exited || end.status != 0)
    return Error{Errc::unavailable, "the self-test has no key: ssh-keygen " + words_of(end)};
  const std::string line = text_of(key_file() + ".pub");
  const auto key = PublicKey::from_line(line.substr(0, line.find('\n')));
  if (!key) return Error{Errc::unavailable, "the self-test's key cannot be read: " + key.error().message};
  key_ = {who_.name, key->fingerprint(), "selftest", key->line(), true};
  const std::string home = kSelfTestHome;
  if (Status done = make_directory(home, 0700, who_.uid, who_.gid); !done) return done;
  if (Status done = make_directory(home + "/.ssh", 0700, who_.uid, who_.gid); !done) return done;
  return write_file(home + "/.ssh/authorized_keys", key->line() + "\n", 0600, who_.uid, who_.gid);
}

Status TestWorld::store(bool admitted) {
  SnapshotContent content;
  content.meta = meta_;
  content.keys.push_back(key_);
  if (admitted) {
    Admission a;
    a.account = who_.name;
    a.subject = key_.subject;
    a.id = grant();
    a.runbook = "self-test";
    a.reason = "hallpass tries this host";
    a.personal = true;
    a.start = effective_now(read_clock(), meta_.floor) - Seconds{1};
    a.end = a.start + kGrantLasts;
    if (getrandom(a.grant.bytes.data(), a.grant.bytes.size(), 0) < 0) return failed("have random bytes");
    Command command;
    command.as_user = "root";
    command.executables = {"/usr/bin/id", "/bin/id"};
    command.arguments = {"-u"};
    a.commands.push_back(command);
    content.admissions.push_back(a);
  }
  const Result<int> image = build_snapshot(content);
  if (!image) return image.error();
  const Status done = publish_snapshot(*image, std::string(kSelfTestPlace) + "/lib/admissions.mdb", false);
  close(*image);
  return done;
}

Status TestWorld::damage_store() {
  return write("lib/admissions.mdb", std::string(8192, 'x'), 0600);
}

Status TestWorld::exempt(bool is_member) {
  const std::string text = is_member ? with_member(group_file_, exempt_group_, who_.name) : group_file_;
  return write_file(group_copy_, text, 0644);
}

}  // namespace hallpass
