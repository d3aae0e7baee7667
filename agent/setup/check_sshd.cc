// What sshd lets in, and by what: its own word (sshd -T) for each account that somebody can log in to, and the lines of
// its files where the cure belongs.
#include <fcntl.h>
#include <algorithm>
#include <chrono>
#include <functional>

#include <glob.h>

#include "agent/setup/check_facts.h"
#include "agent/setup/sshd_config.h"
#include "agent/setup/sshd_settings.h"
#include "core/edge/files.h"
#include "host/paths.h"

namespace hallpass {
namespace {

constexpr char kDropIn[] = "/etc/ssh/sshd_config.d/hallpass.conf";
constexpr char kKeysProgram[] = "/usr/libexec/hallpass/hallpass-keys";
constexpr char kReload[] = "`sshd -t && systemctl reload ssh`";
constexpr std::size_t kMostAsked = 256, kBatch = 16;
constexpr std::chrono::milliseconds kAskFor{1800};
constexpr std::size_t kMaxConfigBytes = std::size_t{1024} * 1024;

struct ScopedLine {
  SshdLine line;
  std::string match;  // the Match line that it stands under; empty: none
};

SshdFiles files_of(const Layout& layout) {
  SshdFiles files;
  files.read = [&layout](const std::string& path) {
    const auto text = read_file(AT_FDCWD, layout.at(path), kMaxConfigBytes, true);
    return text ? *text : std::string();
  };
  files.names = [&layout](const std::string& pattern) {
    std::vector<std::string> names;
    glob_t found{};
    if (glob(layout.at(pattern).c_str(), 0, nullptr, &found) == 0) {
      for (std::size_t i = 0; i < found.gl_pathc; ++i) names.push_back(found.gl_pathv[i] + layout.root.size());
    }
    globfree(&found);
    return names;
  };
  return files;
}

// A Match block ends with its file, and an included file begins in the block that includes it.
std::vector<ScopedLine> scoped_lines(const Layout& layout) {
  struct Open {
    std::string file, match;
  };
  std::vector<Open> open;
  std::vector<ScopedLine> scoped;
  for (SshdLine& line : read_sshd_lines(files_of(layout))) {
    const auto at = std::find_if(open.begin(), open.end(), [&](const Open& o) { return o.file == line.file; });
    if (at != open.end()) {
      open.erase(at + 1, open.end());
    } else {
      const std::string outer = open.empty() ? "" : open.back().match;
      open.push_back({line.file, outer});
    }
    if (line.keyword == "match") open.back().match = line.value;
    scoped.push_back({std::move(line), open.back().match});
  }
  return scoped;
}

struct Asked {
  const Account* account;
  SshdSettings settings;
};

class SshdCheck {
 public:
  SshdCheck(const HostFacts& facts, Findings& found) : facts_(facts), found_(found) {}
  void run();

 private:
  bool ask_all();
  void globals();
  void drop_in();
  void authentication_methods();
  void keys_commands();
  void passwords();
  void certificates();
  void root_login();
  void exempt_keys();
  void match_blocks();
  void drop_account();
  std::size_t ask_about(const std::vector<const Account*>& accounts, std::vector<Asked>& asked);
  std::vector<std::string> accounts_where(const std::function<bool(const SshdSettings&)>& wrong) const;
  // Where the cure belongs: the line that has the keyword first.
  std::string where(std::string_view keyword) const;
  bool in_force() const { return !dropped_in_; }

  const HostFacts& facts_;
  Findings& found_;
  std::vector<ScopedLine> lines_;
  SshdSettings globals_;
  std::vector<Asked> governed_, exempt_;
  const std::chrono::steady_clock::time_point until_ = std::chrono::steady_clock::now() + kAskFor;
  bool dropped_in_ = false;  // the drop-in is missing or not read: said once, not for each of its lines
};

Program question(const std::string& user) {
  Program program{{"/usr/sbin/sshd", "-T"}, {}};
  if (user.empty()) return program;
  program.argv.emplace_back("-C");
  program.argv.push_back("user=" + user + ",host=localhost,addr=127.0.0.1");
  return program;
}

std::optional<SshdSettings> answer(const ProgramEnd& end) {
  if (!end.exited || end.status != 0) return std::nullopt;
  return SshdSettings::parse(end.output);
}

// As many at once as make sense, until all are asked or the time is up: how many of them that were.
std::size_t SshdCheck::ask_about(const std::vector<const Account*>& accounts, std::vector<Asked>& asked) {
  std::size_t done = 0;
  while (done < accounts.size() && done < kMostAsked && std::chrono::steady_clock::now() < until_) {
    std::vector<Program> questions;
    for (std::size_t i = done; i < std::min(done + kBatch, accounts.size()); ++i)
      questions.push_back(question(accounts[i]->name));
    for (const ProgramEnd& end : facts_.programs.run_all(questions)) {
      if (auto settings = answer(end))
        asked.push_back({accounts[done], std::move(*settings)});
      else
        found_.error("sshd_refuses", accounts[done]->name,
                     "sshd -T fails for this account: " + (end.exited ? end.errors : end.fault),
                     "correct the Match block that it names");
      ++done;
    }
  }
  return done;
}

bool SshdCheck::ask_all() {
  const ProgramEnd end = facts_.programs.run(question(""));
  const auto globals = answer(end);
  if (!globals) {
    found_.error("sshd_refuses", kSshdConfig, "sshd -T fails: " + (end.exited ? end.errors : end.fault),
                 "correct what it names; `sshd -t` must be silent. A restart of sshd would lock everybody out");
    return false;
  }
  globals_ = *globals;
  std::vector<const Account*> exempt, governed = facts_.governed();
  for (const Account& account : facts_.accounts) {
    if (account.can_log_in && facts_.is_exempt(account.name) && account.name != paths::kDropAccount)
      exempt.push_back(&account);
  }
  const std::set<std::string> opened = facts_.opened_accounts();
  // Those whom it concerns first, should there be too many.
  std::stable_partition(governed.begin(), governed.end(),
                        [&](const Account* a) { return a->uid == 0 || opened.count(a->name) != 0; });
  ask_about(exempt, exempt_);
  const std::size_t done = ask_about(governed, governed_);
  if (done < governed.size())
    found_.note("sshd_not_all_asked", kSshdConfig,
                "sshd was asked about " + std::to_string(done) + " of " + std::to_string(governed.size()) +
                    " accounts that can log in",
                "ask about others yourself: `sshd -T -C user=root,host=x,addr=127.0.0.1`");
  return true;
}

std::string SshdCheck::where(std::string_view keyword) const {
  const auto first = std::find_if(lines_.begin(), lines_.end(),
                                  [&](const ScopedLine& l) { return l.line.keyword == keyword && l.match.empty(); });
  if (first != lines_.end()) return first->line.where();
  const auto any =
      std::find_if(lines_.begin(), lines_.end(), [&](const ScopedLine& l) { return l.line.keyword == keyword; });
  return any != lines_.end() ? any->line.where() : kSshdConfig;
}

std::vector<std::string> SshdCheck::accounts_where(const std::function<bool(const SshdSettings&)>& wrong) const {
  std::vector<std::string> names;
  for (const Asked& asked : governed_) {
    if (wrong(asked.settings)) names.push_back(asked.account->name);
  }
  return names;
}

void SshdCheck::globals() {
  if (!globals_.is("usepam", "yes"))
    found_.error("usepam_off", where("usepam"), "sshd does not use PAM, so nobody looks at grants",
                 "write \"UsePAM yes\" there; then " + std::string(kReload));
  if (facts_.enforcing() && !globals_.is("pubkeyauthentication", "yes"))
    found_.error("pubkey_off", where("pubkeyauthentication"), "sshd takes no keys, so that no grant lets anybody in",
                 "take \"PubkeyAuthentication no\" out there; then " + std::string(kReload));
}

void SshdCheck::drop_in() {
  if (!facts_.exists(kDropIn)) {
    dropped_in_ = true;
    found_.error("sshd_dropin_missing", kDropIn, "keys do not come from the policy: the file is not there",
                 "`cp /usr/share/hallpass/sshd/hallpass.conf /etc/ssh/sshd_config.d/hallpass.conf`; then " +
                     std::string(kReload));
    return;
  }
  const bool read =
      std::any_of(lines_.begin(), lines_.end(), [](const ScopedLine& l) { return l.line.file == kDropIn; });
  if (read) return;
  dropped_in_ = true;
  found_.error("sshd_dropin_not_read", kSshdConfig, "sshd does not read " + std::string(kDropIn),
               "write \"Include /etc/ssh/sshd_config.d/*.conf\" as its first line; then " + std::string(kReload));
}

void SshdCheck::keys_commands() {
  const auto files = accounts_where([](const SshdSettings& s) { return !s.is("authorizedkeysfile", "none"); });
  if (!files.empty())
    found_.error("authorized_keys_read", where("authorizedkeysfile"),
                 "sshd takes keys from files for " + listed(files) + ": a key merely offered could pass for another",
                 "let AuthorizedKeysFile be none for all but the exempt group; then " + std::string(kReload));
  const auto command = accounts_where([](const SshdSettings& s) {
    const auto words = words_of(s.get("authorizedkeyscommand"));
    const auto given = [&](const char* word) { return std::find(words.begin(), words.end(), word) != words.end(); };
    return words.empty() || words[0] != kKeysProgram || !given("%u") || !given("%f") || !given("%t") || !given("%k");
  });
  if (!command.empty())
    found_.error("keys_command_other", where("authorizedkeyscommand"),
                 "sshd asks something else than hallpass for the keys of " + listed(command),
                 "let it be \"AuthorizedKeysCommand " + std::string(kKeysProgram) + " %u %f %t %k\"; then " + kReload);
  const auto user = accounts_where([](const SshdSettings& s) { return !s.is("authorizedkeyscommanduser", "root"); });
  if (!user.empty() && command.empty())
    found_.error("keys_command_user", where("authorizedkeyscommanduser"),
                 "hallpass-keys does not run as root for " + listed(user) + ", so it gives no keys",
                 "let it be \"AuthorizedKeysCommandUser root\"; then " + std::string(kReload));
}

// The methods of one alternative of AuthenticationMethods: "publickey,password".
std::vector<std::string> methods_of(std::string_view alternative) {
  std::vector<std::string> methods;
  while (true) {
    const std::size_t comma = std::min(alternative.find(','), alternative.size());
    const std::string_view method = alternative.substr(0, comma);
    methods.emplace_back(method.substr(0, method.find(':')));
    if (comma == alternative.size()) return methods;
    alternative.remove_prefix(comma + 1);
  }
}

bool is_offered(const SshdSettings& s, const std::string& method) {
  if (method == "publickey") return s.is("pubkeyauthentication", "yes");
  if (method == "password") return s.is("passwordauthentication", "yes");
  if (method == "keyboard-interactive") return s.is("kbdinteractiveauthentication", "yes");
  if (method == "hostbased") return s.is("hostbasedauthentication", "yes");
  return method != "gssapi-with-mic" || s.is("gssapiauthentication", "yes");
}

// Alternatives that ask for no key, although they say what they ask for.
bool asks_for_no_key(const SshdSettings& s) {
  const auto alternatives = words_of(s.get("authenticationmethods"));
  return std::any_of(alternatives.begin(), alternatives.end(), [](const std::string& alternative) {
    const auto methods = methods_of(alternative);
    return alternative != "any" && std::find(methods.begin(), methods.end(), "publickey") == methods.end();
  });
}

bool can_be_met(const SshdSettings& s) {
  const auto alternatives = words_of(s.get("authenticationmethods"));
  return alternatives.empty() || std::any_of(alternatives.begin(), alternatives.end(), [&](const std::string& each) {
           const auto methods = methods_of(each);
           return each == "any" || std::all_of(methods.begin(), methods.end(),
                                               [&](const std::string& method) { return is_offered(s, method); });
         });
}

void SshdCheck::authentication_methods() {
  const auto unmet = accounts_where([](const SshdSettings& s) { return !can_be_met(s); });
  if (!unmet.empty())
    found_.error(
        "methods_unmet", where("authenticationmethods"),
        "AuthenticationMethods cannot be met by " + listed(unmet) + ": a method in it is switched off",
        "let it be \"AuthenticationMethods publickey\", or switch the method on; then " + std::string(kReload));
  const auto keyless = accounts_where(asks_for_no_key);
  if (!keyless.empty() && unmet.empty())
    found_.warning("methods_without_key", where("authenticationmethods"),
                   "AuthenticationMethods lets " + listed(keyless) +
                       " in without a key: on a personal account with a grant that suffices",
                   "let every alternative begin with publickey; then " + std::string(kReload));
}

void SshdCheck::passwords() {
  const auto by_method = [](const SshdSettings& s, std::initializer_list<const char*> keywords) {
    const std::string_view methods = s.get("authenticationmethods");
    const bool any = methods.empty() || methods == "any";
    return any && std::any_of(keywords.begin(), keywords.end(), [&](const char* k) { return s.is(k, "yes"); });
  };
  const auto open = accounts_where([&](const SshdSettings& s) {
    return by_method(s, {"passwordauthentication", "kbdinteractiveauthentication"});
  });
  if (!open.empty()) {
    const bool password =
        globals_.is("passwordauthentication", "yes") || !globals_.is("kbdinteractiveauthentication", "yes");
    found_.warning("password_logins", where(password ? "passwordauthentication" : "kbdinteractiveauthentication"),
                   "sshd takes passwords for " + listed(open) + ": one opens a personal account that has a grant",
                   "write \"PasswordAuthentication no\" and \"KbdInteractiveAuthentication no\" there; then " +
                       std::string(kReload));
  }
  const auto empty = accounts_where([](const SshdSettings& s) { return s.is("permitemptypasswords", "yes"); });
  if (!empty.empty())
    found_.error("empty_passwords", where("permitemptypasswords"), "sshd takes empty passwords for " + listed(empty),
                 "let PermitEmptyPasswords be no; then " + std::string(kReload));
  const auto other = accounts_where([&](const SshdSettings& s) {
    return by_method(s, {"hostbasedauthentication", "gssapiauthentication", "kerberosauthentication"});
  });
  if (!other.empty()) {
    const char* keyword = globals_.is("gssapiauthentication", "yes")     ? "gssapiauthentication"
                          : globals_.is("kerberosauthentication", "yes") ? "kerberosauthentication"
                                                                         : "hostbasedauthentication";
    found_.warning("other_methods", where(keyword),
                   "sshd lets " + listed(other) +
                       " in by other hosts or Kerberos: on a personal account with a grant " + "no key is asked for",
                   "switch HostbasedAuthentication, GSSAPIAuthentication and KerberosAuthentication off; then " +
                       std::string(kReload));
  }
}

void SshdCheck::certificates() {
  const auto opened = [](const SshdSettings& s) {
    return !s.is("trustedusercakeys", "none") || !s.is("authorizedprincipalscommand", "none") ||
           !s.is("authorizedprincipalsfile", "none");
  };
  std::vector<std::string> names = accounts_where(opened);
  for (const Asked& asked : exempt_) {
    if (opened(asked.settings)) names.push_back(asked.account->name);
  }
  if (names.empty()) return;
  const char* keyword = !globals_.is("authorizedprincipalscommand", "none") ? "authorizedprincipalscommand"
                        : !globals_.is("authorizedprincipalsfile", "none")  ? "authorizedprincipalsfile"
                                                                            : "trustedusercakeys";
  found_.warning(
      "certificates", where(keyword),
      "an authority's certificates open " + listed(names) +
          ": members of the exempt group without any grant, others with a grant for an enrolled key",
      "take TrustedUserCAKeys and AuthorizedPrincipals... out, unless that is meant; then " + std::string(kReload));
}

void SshdCheck::root_login() {
  const auto is_root = [](const Asked& asked) { return asked.account->uid == 0; };
  const auto exempt = std::find_if(exempt_.begin(), exempt_.end(), is_root);
  if (exempt != exempt_.end() && !exempt->settings.is("permitrootlogin", "no"))
    return found_.warning(
        "root_ssh", where("permitrootlogin"),
        "root is in the exempt group, and sshd lets root in: nobody will know who it was",
        "let PermitRootLogin be no, and use an account of its own for emergencies; then " + std::string(kReload));
  const auto governed = std::find_if(governed_.begin(), governed_.end(), is_root);
  if (governed == governed_.end() || governed->settings.is("permitrootlogin", "no")) return;
  if (facts_.opened_accounts().count(governed->account->name) != 0) return;  // a runbook wants it
  found_.note("root_ssh", where("permitrootlogin"), "sshd lets root try, though no runbook of this host names root",
              "let PermitRootLogin be no; then " + std::string(kReload));
}

void SshdCheck::exempt_keys() {
  for (const Asked& asked : exempt_) {
    const auto patterns = words_of(asked.settings.get("authorizedkeysfile"));
    if (!authorized_keys(facts_.layout, *asked.account, patterns).empty() || asked.account->has_password) continue;
    const bool read = !asked.settings.is("authorizedkeysfile", "none");
    found_.warning(
        "exempt_without_key", asked.account->name,
        read ? "is in the exempt group, but has no key in " + std::string(asked.settings.get("authorizedkeysfile"))
             : "is in the exempt group, but sshd reads no key file for it",
        read ? "put a key there, or take it out: `gpasswd -d " + asked.account->name + " " + facts_.exempt_group + "`"
             : "the Match block of " + std::string(kDropIn) + " must come before others for it; then " + kReload);
  }
}

// What Match blocks make of accounts, sshd was asked. What they make of where somebody comes from, nobody can be asked.
void SshdCheck::match_blocks() {
  static const std::set<std::string> kTelling = {
      "passwordauthentication",  "kbdinteractiveauthentication", "authenticationmethods",
      "authorizedkeysfile",      "authorizedkeyscommand",        "authorizedkeyscommanduser",
      "trustedusercakeys",       "authorizedprincipalsfile",     "authorizedprincipalscommand",
      "permitrootlogin",         "permitemptypasswords",         "pubkeyauthentication",
      "hostbasedauthentication", "gssapiauthentication",         "kerberosauthentication"};
  std::set<std::string> told;
  for (const ScopedLine& scoped : lines_) {
    if (kTelling.count(scoped.line.keyword) == 0 || told.count(scoped.match) != 0) continue;
    auto words = words_of(scoped.match);
    const bool by_source = std::any_of(words.begin(), words.end(), [](std::string word) {
      std::transform(word.begin(), word.end(), word.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
      word = word.substr(0, word.find('='));
      return word == "address" || word == "host" || word == "localaddress" || word == "localport" || word == "rdomain";
    });
    if (!by_source) continue;
    told.insert(scoped.match);
    found_.warning("match_by_source", scoped.line.where(),
                   scoped.line.keyword + " depends on where somebody comes from (Match " + scoped.match +
                       "), which this check cannot follow",
                   "take the block out, or see with `sshd -T -C user=NAME,host=x,addr=ADDRESS` that it opens nothing");
  }
}

void SshdCheck::drop_account() {
  if (!facts_.config || facts_.config->drop.empty()) return;
  if (facts_.account(paths::kDropAccount) == nullptr)
    return found_.warning("drop_account_missing", "/etc/hallpass/host.toml",
                          "says drop, but there is no account hallpass-drop: nobody can hand grants in",
                          "`systemd-sysusers hallpass-drop.conf && systemd-tmpfiles --create hallpass-drop.conf`");
  const auto settings = answer(facts_.programs.run(question(paths::kDropAccount)));
  if (!settings) return;
  const bool held = settings->is("forcecommand", paths::kDrop) && settings->is("authorizedkeysfile", "none") &&
                    settings->is("disableforwarding", "yes") && settings->is("permittty", "no");
  if (!held)
    found_.error(
        "drop_account_free", "/etc/ssh/sshd_config.d/hallpass-drop.conf",
        "sshd does not hold the exempt account hallpass-drop to its one command",
        "`cp /usr/share/hallpass/sshd/hallpass-drop.conf /etc/ssh/sshd_config.d/`; then " + std::string(kReload));
}

void SshdCheck::run() {
  lines_ = scoped_lines(facts_.layout);
  if (!ask_all()) return;
  globals();
  if (!facts_.enforcing()) return;
  drop_in();
  if (in_force()) {
    keys_commands();
    exempt_keys();
  }
  authentication_methods();
  passwords();
  certificates();
  root_login();
  match_blocks();
  drop_account();
}

}  // namespace

void check_sshd(const HostFacts& facts, Findings& found) {
  if (facts.on()) SshdCheck(facts, found).run();
}

}  // namespace hallpass
