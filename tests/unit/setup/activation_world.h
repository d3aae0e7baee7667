// A host's files in a directory of their own, ready to be switched on, and what stands in them.
#pragma once

#include <sys/stat.h>
#include <utime.h>

#include <map>
#include <sstream>

#include "agent/setup/activation.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/setup/fake_root.h"

namespace hallpass::testing {

inline constexpr std::chrono::seconds kWithin{300};
inline const Wanted kObserve{Mode::observe, false}, kEnforce{Mode::enforce, true}, kOff{};
inline const std::string kPam =
    "@include common-account\nsession required pam_loginuid.so\n@include common-session\n# end";
inline const std::string kSudo = "# sudo\nPlugin sudoers_policy sudoers.so a=1\n";

// What stands at a path: bytes, mode, time; empty: nothing.
using Tree = std::map<std::string, std::string>;

inline std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline Tree tree_of(const Layout& layout, bool all = true) {
  Tree tree;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(layout.at("/etc"))) {
    struct stat info {};
    stat(entry.path().c_str(), &info);
    const std::string name = entry.path().string().substr(layout.root.size());
    if (!all && name.find("/.") != std::string::npos) continue;
    std::string what = std::to_string(info.st_mode);
    if (entry.is_regular_file())
      what += " " + std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec) + " " +
              read_all(entry.path());
    tree[name] = what;
  }
  return tree;
}

struct World : FakeRoot {
  // `bare`: neither sudo.conf nor polkit's directory.
  explicit World(bool bare = false) {
    const std::string packaging = std::string(HALLPASS_VECTORS) + "/../../packaging/";
    for (const char* file : {"sshd/hallpass.conf", "sshd/hallpass-drop.conf", "sudo/sudo.conf",
                             "systemd/50-hallpass.conf", "polkit/49-hallpass-linger.rules"})
      write(std::string("/usr/share/hallpass/") + file, read_all(packaging + file));
    write("/etc/hallpass/host.toml",
          "name = \"web-3\"\ndirectories = [\"/srv/hallpass\"]\ndrop = \"/var/lib/hallpass-drop/in\"\n");
    write("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\n");
    write("/etc/ssh/sshd_config.d/site.conf", "X11Forwarding no\n");
    write("/etc/pam.d/sshd", kPam);
    write("/etc/pam.d/common-session", "session optional pam_systemd.so\n");
    write("/etc/systemd/system/x.service", "");
    std::filesystem::create_directories(layout.at("/var/lib"));
    std::filesystem::create_directories(layout.at("/run"));
    if (!bare) {
      write("/etc/polkit-1/rules.d/50.rules", "");
      write("/etc/sudo.conf", kSudo);
      chmod(layout.at("/etc/sudo.conf").c_str(), 0440);
    }
    chmod(layout.at("/etc/pam.d/sshd").c_str(), 0640);
    const utimbuf old{1000000000, 1000000000};
    for (const char* path : {"/etc/pam.d/sshd", "/etc/sudo.conf"}) utime(layout.at(path).c_str(), &old);
    before = tree_of(layout);
  }
  Tree before;
};

inline Status switch_to(const Layout& layout, const Wanted& wanted) {
  const Result<Changes> changes = plan_changes(layout, wanted);
  if (!changes) return changes.error();
  if (const Status applied = apply_changes(layout, *changes, wanted, kWithin); !applied) return applied;
  return mark_activation_done(layout);
}
inline Status switch_and_confirm(const Layout& layout, const Wanted& wanted) {
  const Status done = switch_to(layout, wanted);
  return done ? confirm_activation(layout) : done;
}
inline Status back(const Layout& layout) {
  std::vector<std::string> told;
  const Status done = go_back(layout, told);
  for (const std::string& line : told) print_message("%s\n", line.c_str());
  return done && told.empty() ? done : Error{Errc::unavailable, "it told something"};
}
inline Status off(const Layout& layout) {
  std::vector<std::string> told;
  const Status done = deactivate(layout, told);
  for (const std::string& line : told) print_message("%s\n", line.c_str());
  return done && told.empty() ? done : Error{Errc::unavailable, "it told something"};
}

inline std::string show(const Tree& tree, const Tree& expected) {
  std::string text;
  for (const auto& [name, what] : tree)
    if (expected.find(name) == expected.end() || expected.at(name) != what) text += "  " + name + " is " + what + "\n";
  for (const auto& [name, what] : expected)
    if (tree.find(name) == tree.end()) text += "  " + name + " is missing\n";
  return text;
}
inline int differs(const Layout& layout, const Tree& expected, const std::string& name) {
  const Tree now = tree_of(layout);
  if (now != expected) print_error("%s", show(now, expected).c_str());
  return wrong_if(now != expected, name.c_str());
}

}  // namespace hallpass::testing
