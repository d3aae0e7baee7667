// Owners and modes: whoever may write one of these files, or a directory on the way to it, decides who is let in.
#include <glob.h>
#include <sys/stat.h>

#include <cstdlib>

#include "agent/setup/check_facts.h"

namespace hallpass {
namespace {

struct Guarded {
  const char* path;
  bool needed;  // hallpass does not work without it
};
constexpr Guarded kGuarded[] = {{"/usr/sbin/hallpass-agent", true},
                                {"/usr/libexec/hallpass/hallpass-keys", true},
                                {"/usr/libexec/hallpass/why", true},
                                {"/usr/libexec/hallpass/ctl", true},
                                {"/usr/libexec/hallpass/drop", false},
                                {"/usr/lib/hallpass/hallpass_sudo.so", false},
                                {"/etc/hallpass/host.toml", false},
                                {"/etc/hallpass/trust.toml", false},
                                {"/etc/pam.d/sshd", false},
                                {"/etc/ssh/sshd_config", false},
                                {"/etc/ssh/sshd_config.d/hallpass.conf", false},
                                {"/etc/ssh/sshd_config.d/hallpass-drop.conf", false},
                                {"/etc/sudo.conf", false},
                                {"/var/lib/hallpass", false},
                                {"/run/hallpass", false}};

class FilesCheck {
 public:
  FilesCheck(const HostFacts& facts, Findings& found) : facts_(facts), found_(found) {}

  void run() {
    for (const Guarded& guarded : kGuarded) {
      if (facts_.exists(guarded.path)) {
        follow(guarded.path);
      } else if (guarded.needed && facts_.on()) {
        found_.error("program_missing", guarded.path, "is not there: nobody is let in, or nothing ends",
                     "install the package again, or take hallpass out: `hallpass host disable`");
      }
    }
    for (const std::string& path : modules()) follow(path);
  }

 private:
  // PAM's directories differ between distributions.
  std::vector<std::string> modules() const {
    std::vector<std::string> paths;
    for (const char* pattern : {"/lib/*/security/pam_hallpass.so", "/usr/lib/*/security/pam_hallpass.so",
                                "/usr/lib64/security/pam_hallpass.so"}) {
      glob_t found{};
      if (glob(facts_.layout.at(pattern).c_str(), 0, nullptr, &found) == 0) {
        for (std::size_t i = 0; i < found.gl_pathc; ++i) paths.push_back(found.gl_pathv[i] + facts_.layout.root.size());
      }
      globfree(&found);
    }
    return paths;
  }

  // The path as it is spelled and as it is: both can be changed.
  void follow(const std::string& path) {
    walk(path);
    char* real = ::realpath(facts_.layout.at(path).c_str(), nullptr);
    if (real == nullptr) return;
    const std::string resolved(real);
    std::free(real);
    if (resolved.compare(0, facts_.layout.root.size(), facts_.layout.root) == 0)
      walk(resolved.substr(facts_.layout.root.size()));
  }

  void walk(const std::string& path) {
    for (std::size_t end = path.size(); end != std::string::npos;
         end = end == 0 ? std::string::npos : path.rfind('/', end - 1))
      look(end == 0 ? "/" : path.substr(0, end));
  }

  void look(const std::string& path) {
    struct stat st {};
    if (::lstat(facts_.layout.at(path).c_str(), &st) != 0 || !seen_.insert({st.st_dev, st.st_ino}).second) return;
    const bool link = S_ISLNK(st.st_mode);
    const bool others = !link && (st.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    if (st.st_uid != facts_.owner)
      found_.error("file_owner", path, "is not root's, and hallpass or what leads to it lies there",
                   "`chown root: " + path + "`");
    else if (others)
      found_.error("file_writable", path,
                   "can be written by others than root, and hallpass or what leads to it lies there",
                   "`chmod go-w " + path + "`");
  }

  const HostFacts& facts_;
  Findings& found_;
  std::set<std::pair<dev_t, ino_t>> seen_;  // /lib may be /usr/lib
};

}  // namespace

void check_files(const HostFacts& facts, Findings& found) {
  FilesCheck(facts, found).run();
}

}  // namespace hallpass
