// Ways in beside sshd and its keys from the policy.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "agent/setup/check_facts.h"
#include "core/edge/files.h"

namespace hallpass {
namespace {

constexpr std::size_t kMostKeyFiles = 10;
constexpr std::size_t kMaxProcBytes = 16384;

// Of the distributions' files in /etc/pam.d: parts of others, and programs that admit nobody from elsewhere.
const std::set<std::string> kHarmless = {"atd",
                                         "chfn",
                                         "chpasswd",
                                         "chsh",
                                         "cron",
                                         "crond",
                                         "login",
                                         "newusers",
                                         "other",
                                         "passwd",
                                         "runuser",
                                         "runuser-l",
                                         "sshd",
                                         "su",
                                         "su-l",
                                         "sudo",
                                         "sudo-i",
                                         "systemd-user",
                                         "polkit-1",
                                         "postlogin",
                                         "password-auth",
                                         "system-auth",
                                         "fingerprint-auth",
                                         "smartcard-auth",
                                         "config-util",
                                         "groupmems",
                                         "useradd",
                                         "vlock",
                                         "screen"};
// Those that give a shell, a screen or files, and units whose names differ from their PAM files'.
const std::map<std::string, std::vector<std::string>> kAdmitting = {{"cockpit", {"cockpit.socket"}},
                                                                    {"vsftpd", {}},
                                                                    {"proftpd", {}},
                                                                    {"pure-ftpd", {}},
                                                                    {"dropbear", {"dropbear.socket"}},
                                                                    {"xrdp-sesman", {"xrdp.service"}},
                                                                    {"gdm-password", {"gdm.service"}},
                                                                    {"lightdm", {}},
                                                                    {"sddm", {}},
                                                                    {"remote", {"telnet.socket"}},
                                                                    {"rlogin", {"rlogin.socket"}},
                                                                    {"rsh", {"rsh.socket"}},
                                                                    {"webmin", {}}};

bool may_admit(const std::string& service) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return kHarmless.count(service) == 0 && !service.starts_with("common-") &&
         std::all_of(service.begin(), service.end(), plain);
}

std::vector<std::string> units_of(const std::string& service) {
  std::vector<std::string> units = {service + ".service", service + ".socket"};
  if (const auto known = kAdmitting.find(service); known != kAdmitting.end())
    units.insert(units.end(), known->second.begin(), known->second.end());
  return units;
}

void check_services(const HostFacts& facts, Findings& found) {
  for (const std::string& service : names_in(facts.layout.at("/etc/pam.d"))) {
    if (!may_admit(service)) continue;
    const auto units = units_of(service);
    const auto running = std::find_if(units.begin(), units.end(), [&](const std::string& name) {
      return facts.unit(name).active || facts.unit(name).enabled == "enabled";
    });
    if (running == units.end()) continue;
    const std::string& unit = *running;
    const std::string cure = "`systemctl disable --now " + unit + "`, or see that it admits nobody whom grants govern";
    if (kAdmitting.count(service) != 0)
      found.warning("other_service", "/etc/pam.d/" + service,
                    unit + " lets people in by PAM rules of its own, where no grant is asked for", cure);
    else
      found.note("other_service", "/etc/pam.d/" + service,
                 unit + " has PAM rules of its own: what it lets people do, no grant is asked for", cure);
  }
}

std::string command_line(const Layout& layout, const std::string& pid) {
  auto text = read_file(AT_FDCWD, layout.at("/proc/" + pid + "/cmdline"), kMaxProcBytes);
  if (!text) return {};
  std::replace(text->begin(), text->end(), '\0', ' ');
  return *text;
}

// sshd's listening process, and options that take the place of its files: "-o" with what follows, "-f FILE".
std::string own_options(const std::string& line) {
  if (line.find("sshd") == std::string::npos) return {};
  std::string options;
  const auto words = words_of(line);
  for (std::size_t i = 1; i < words.size(); ++i) {
    const bool file = words[i].starts_with("-f"), option = words[i].starts_with("-o");
    if (!file && !option) continue;
    const std::string value = words[i].size() > 2 ? words[i].substr(2) : i + 1 < words.size() ? words[i + 1] : "";
    if (file && value == "/etc/ssh/sshd_config") continue;
    options += (options.empty() ? "" : " ") + words[i].substr(0, 2) + " " + value;
  }
  return options;
}

void check_daemons(const HostFacts& facts, Findings& found) {
  static const std::set<std::string> kOthers = {"dropbear", "tinysshd", "tinysshd-", "lshd", "in.telnetd", "in.rshd"};
  std::set<std::string> told;
  for (const std::string& pid : names_in(facts.layout.at("/proc"))) {
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    auto name = read_file(AT_FDCWD, facts.layout.at("/proc/" + pid + "/comm"), 64);
    if (!name) continue;
    while (!name->empty() && name->back() == '\n') name->pop_back();
    if (kOthers.count(*name) != 0 && told.insert(*name).second)
      found.warning("other_ssh", *name + " (process " + pid + ")", "lets people in beside sshd, and asks for no grant",
                    "stop it and take it out: `kill " + pid + "`");
    if (*name != "sshd") continue;
    const std::string line = command_line(facts.layout, pid);
    const std::string options = line.find("[priv]") == std::string::npos ? own_options(line) : "";
    if (!options.empty() && told.insert(options).second)
      found.warning("sshd_options", "sshd (process " + pid + ")",
                    "was started with \"" + options + "\", which changes what its files say and what this check sees",
                    "take the option out of the unit or /etc/default/ssh; then `systemctl restart ssh`");
  }
}

struct Stray {
  std::string account, file;
  std::vector<std::string> unknown;  // fingerprints that are nobody's of the policy
  std::size_t keys = 0;
};

// sshd follows links there, which authorized_keys does not.
bool is_linked(const HostFacts& facts, const std::string& file) {
  struct stat st {
  }, behind{};
  const std::string path = facts.layout.at(file);
  return ::stat(path.c_str(), &behind) == 0 && S_ISREG(behind.st_mode) && behind.st_size > 0 &&
         ((::lstat(path.c_str(), &st) == 0 && S_ISLNK(st.st_mode)) ||
          (::lstat(path.substr(0, path.rfind('/')).c_str(), &st) == 0 && S_ISLNK(st.st_mode)));
}

std::vector<Stray> stray_files(const HostFacts& facts) {
  std::vector<Stray> strays;
  for (const Account* account : facts.governed()) {
    for (const char* name : {".ssh/authorized_keys", ".ssh/authorized_keys2"}) {
      Stray stray{account->name, account->home + "/" + name, {}, 0};
      for (const AuthorizedKey& key : authorized_keys(facts.layout, *account, {name})) {
        ++stray.keys;
        std::string owner;
        if (!facts.policy || facts.policy->find_fingerprint(key.fingerprint, &owner) == nullptr)
          stray.unknown.push_back(key.fingerprint + (key.comment.empty() ? "" : " " + key.comment));
      }
      if (stray.keys == 0 && is_linked(facts, stray.file)) stray.unknown.emplace_back("a link, not followed");
      if (stray.keys > 0 || !stray.unknown.empty()) strays.push_back(std::move(stray));
    }
  }
  std::stable_partition(strays.begin(), strays.end(), [](const Stray& s) { return !s.unknown.empty(); });
  return strays;
}

void check_stray_keys(const HostFacts& facts, Findings& found) {
  const auto strays = stray_files(facts);
  for (std::size_t i = 0; i < std::min(strays.size(), kMostKeyFiles); ++i) {
    const Stray& stray = strays[i];
    const std::string cure = "`mv " + stray.file + " " + stray.file + ".before-hallpass`";
    const std::string unread = ": sshd does not read it, but would without hallpass, and so may other programs";
    if (!stray.unknown.empty())
      found.warning("stray_keys", stray.file,
                    "has keys that nobody of the policy owns (" + listed(stray.unknown, 2) + ")" + unread, cure);
    else
      found.note("stray_keys", stray.file, "has " + std::to_string(stray.keys) + " keys" + unread, cure);
  }
  if (strays.size() > kMostKeyFiles)
    found.note("stray_keys", std::to_string(strays.size() - kMostKeyFiles) + " more accounts", "have key files, too",
               "go on with them when the first are done");
}

}  // namespace

std::vector<std::string> units_of_services(const Layout& layout) {
  std::vector<std::string> units;
  for (const std::string& service : names_in(layout.at("/etc/pam.d"))) {
    if (!may_admit(service)) continue;
    const auto more = units_of(service);
    units.insert(units.end(), more.begin(), more.end());
  }
  return units;
}

void check_other_doors(const HostFacts& facts, Findings& found) {
  if (!facts.on()) return;
  check_services(facts, found);
  check_daemons(facts, found);
  if (facts.enforcing()) check_stray_keys(facts, found);
}

}  // namespace hallpass
