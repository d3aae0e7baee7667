#include "sudo_plugin/wish.h"

#include <pwd.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace hallpass {
namespace {

// Settings that change nothing about what runs, or that are looked at here. Anything else, also what a later sudo may
// add, gives nothing under a grant.
constexpr std::string_view kHarmless[] = {
    "askpass",         "debug_flags", "ignore_ticket", "implied_shell", "intercept_ptrace",
    "intercept_setid", "login_shell", "max_groups",    "network_addrs", "noninteractive",
    "plugin_dir",      "plugin_path", "progname",      "prompt",        "run_shell",
    "runas_group",     "runas_user",  "set_home",      "sudoedit",      "update_ticket",
};

// As people type them.
constexpr std::pair<std::string_view, std::string_view> kOptions[] = {
    {"bsdauth_type", "-a"},    {"closefrom", "-C"},   {"cmnd_chroot", "-R"},
    {"cmnd_cwd", "-D"},        {"login_class", "-c"}, {"preserve_environment", "-E"},
    {"preserve_groups", "-P"}, {"remote_host", "-h"}, {"selinux_role", "-r"},
    {"selinux_type", "-t"},    {"timeout", "-T"},
};

bool is_on(const Vector& settings, std::string_view name) {
  return settings.text(name) == "true";
}

std::string forbidden_setting(const Vector& settings) {
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const std::string_view item = settings[i], name = item.substr(0, item.find('='));
    if (std::find(std::begin(kHarmless), std::end(kHarmless), name) != std::end(kHarmless)) continue;
    if (item.substr(name.size()) == "=false") continue;
    const auto* known =
        std::find_if(std::begin(kOptions), std::end(kOptions), [&](const auto& o) { return o.first == name; });
    return std::string(known == std::end(kOptions) ? name : known->second);
  }
  return {};
}

void add_names(std::string_view list, std::vector<std::string>& names) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    const std::string_view word = list.substr(0, end);
    if (!word.empty()) names.emplace_back(word.substr(0, word.find('=')));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
}

// Options with an operand, of which the rest of a word or the next word is that.
constexpr std::string_view kWithOperand = "aCcDghpRrTtuU";

// The words before the command: variables to pass, and options that settings do not show. Reads a word that is an
// option's operand as a variable when it looks like one: that gives less, never more.
void scan_options(int optind, char* const argv[], Wish& wish) {
  for (int i = 1; i < optind && argv[i] != nullptr; ++i) {
    const std::string_view word = argv[i];
    if (word.starts_with("--")) {
      const std::size_t equals = word.find('=');
      // getopt_long takes any unambiguous beginning of --preserve-env.
      if (word.starts_with("--pre") && equals != std::string_view::npos)
        add_names(word.substr(equals + 1), wish.environment);
      if (word.starts_with("--o")) wish.cannot = "--other-user";
    } else if (word.starts_with('-')) {
      for (std::size_t k = 1; k < word.size(); ++k) {
        if (word[k] == 'U') wish.cannot = "-U";
        if (kWithOperand.find(word[k]) != std::string_view::npos) break;
      }
    } else if (!word.starts_with('/') && word.find('=') != std::string_view::npos) {
      wish.environment.emplace_back(word.substr(0, word.find('=')));
    }
  }
}

bool is_program(const std::string& path) {
  struct stat st {};
  return stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0;
}

// As sudoers will resolve it under our secure_path.
std::string meant_program(const std::string& typed) {
  if (typed.find('/') != std::string::npos) return typed;
  std::string_view rest = kSecurePath;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    std::string path = std::string(rest.substr(0, end)) + "/" + typed;
    if (is_program(path)) return path;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

std::string shell_of(const passwd* entry) {
  return entry == nullptr || entry->pw_shell == nullptr ? std::string() : entry->pw_shell;
}

}  // namespace

Wish typed_wish(const Vector& settings, int optind, char* const argv[]) {
  Wish wish;
  scan_options(optind, argv, wish);
  if (const std::string_view user = settings.text("runas_user"); !user.empty()) wish.user = user;
  wish.group = settings.text("runas_group");
  int at = optind;
  while (argv[at] != nullptr && argv[at][0] != '/' && strchr(argv[at], '=') != nullptr) {
    wish.environment.emplace_back(argv[at], strchr(argv[at], '='));
    ++at;
  }
  if (wish.cannot.empty()) wish.cannot = forbidden_setting(settings);
  const bool shell = is_on(settings, "run_shell") || is_on(settings, "login_shell") || is_on(settings, "implied_shell");
  const bool edit = is_on(settings, "sudoedit");
  if (argv[at] == nullptr && !shell) return wish;
  if (argv[at] != nullptr) wish.typed = argv[at];
  for (int i = at + (edit ? 0 : 1); argv[at] != nullptr && argv[i] != nullptr; ++i)
    wish.arguments.emplace_back(argv[i]);
  if (!wish.cannot.empty()) return wish;
  wish.mode = edit ? Wish::Mode::edit : shell ? Wish::Mode::shell : Wish::Mode::run;
  if (wish.mode == Wish::Mode::run) wish.program = meant_program(wish.typed);
  return wish;
}

std::optional<Wish> resolved_wish(const Wish& typed, const Vector& info, char* const argv[], char* const run_argv[]) {
  Wish wish = typed;
  const std::size_t asked = Vector(argv).size(), run = Vector(run_argv).size();
  wish.arguments.clear();
  if (info.get("chroot") != nullptr) return std::nullopt;
  if (info.text("sudoedit") == "true") {
    // The editor and its options, "--", then the files; argv is "sudoedit" and the files.
    if (typed.mode != Wish::Mode::edit || asked < 2 || run < asked || Vector(run_argv)[run - asked] != "--")
      return std::nullopt;
    // The first "--" is the one that sudo goes by (CVE-2023-22809).
    for (std::size_t i = 0; i < run - asked; ++i) {
      if (Vector(run_argv)[i] == "--") return std::nullopt;
    }
    for (std::size_t i = run - asked + 1; i < run; ++i) wish.arguments.push_back(Vector(run_argv)[i]);
    return wish;
  }
  if (typed.mode == Wish::Mode::edit || info.get("command") == nullptr || run == 0) return std::nullopt;
  wish.program = info.text("command");
  for (std::size_t i = 1; i < run; ++i) wish.arguments.push_back(Vector(run_argv)[i]);
  return wish;
}

std::vector<std::string> shells_of(const std::string& target, uid_t caller) {
  std::vector<std::string> shells{"/bin/sh"};
  for (std::string shell : {shell_of(getpwnam(target.c_str())), shell_of(getpwuid(caller))}) {
    if (shell.starts_with('/')) shells.push_back(std::move(shell));
  }
  // Where /bin is /usr/bin both names are in use.
  for (std::size_t i = 0, n = shells.size(); i < n; ++i) {
    if (shells[i].starts_with("/bin/")) shells.push_back("/usr" + shells[i]);
    if (shells[i].starts_with("/usr/bin/")) shells.push_back(shells[i].substr(4));
  }
  std::sort(shells.begin(), shells.end());
  shells.erase(std::unique(shells.begin(), shells.end()), shells.end());
  return shells;
}

}  // namespace hallpass
