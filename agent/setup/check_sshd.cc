// What sshd lets in, and by what: its own word (sshd -T) for each account that somebody can log in to, and the lines of
// its files where the cure belongs.
#include "agent/setup/check_sshd.h"

#include <fcntl.h>
#include <glob.h>

#include <algorithm>

#include "core/edge/files.h"
#include "host/paths.h"

namespace hallpass {
namespace {

constexpr char kKeysProgram[] = "/usr/libexec/hallpass/hallpass-keys";
constexpr std::size_t kMostAsked = 256, kBatch = 16;
constexpr std::size_t kMaxConfigBytes = std::size_t{1024} * 1024;

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
    bool includes = false;  // its last line so far
  };
  std::vector<Open> open;
  std::vector<ScopedLine> scoped;
  for (SshdLine& line : read_sshd_lines(files_of(layout))) {
    const auto at = std::find_if(open.begin(), open.end(), [&](const Open& o) { return o.file == line.file; });
    if (at != open.end()) {
      open.erase(at + 1, open.end());
    } else {
      while (!open.empty() && !open.back().includes) open.pop_back();
      const std::string outer = open.empty() ? "" : open.back().match;
      open.push_back({line.file, outer});
    }
    if (line.keyword == "match") open.back().match = line.value;
    open.back().includes = line.keyword == "include";
    scoped.push_back({std::move(line), open.back().match});
  }
  return scoped;
}

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

}  // namespace

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

std::string SshdCheck::where(std::string_view keyword, bool for_all) const {
  const auto find = [&](bool in_match) {
    return std::find_if(lines_.begin(), lines_.end(),
                        [&](const ScopedLine& l) { return l.line.keyword == keyword && l.match.empty() != in_match; });
  };
  if (const auto first = find(!for_all); first != lines_.end()) return first->line.where();
  return kSshdConfig;
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
    found_.error("usepam_off", where("usepam", true), "sshd does not use PAM, so nobody looks at grants",
                 "write \"UsePAM yes\" there; then " + std::string(kSshdReload));
  if (facts_.enforcing() && !globals_.is("pubkeyauthentication", "yes"))
    found_.error("pubkey_off", where("pubkeyauthentication", true),
                 "sshd takes no keys, so that no grant lets anybody in",
                 "take \"PubkeyAuthentication no\" out there; then " + std::string(kSshdReload));
}

void SshdCheck::drop_in() {
  if (!facts_.exists(kSshdDropIn)) {
    dropped_in_ = true;
    found_.error("sshd_dropin_missing", kSshdDropIn, "keys do not come from the policy: the file is not there",
                 "`cp /usr/share/hallpass/sshd/hallpass.conf /etc/ssh/sshd_config.d/hallpass.conf`; then " +
                     std::string(kSshdReload));
    return;
  }
  const bool read =
      std::any_of(lines_.begin(), lines_.end(), [](const ScopedLine& l) { return l.line.file == kSshdDropIn; });
  if (read) return;
  dropped_in_ = true;
  found_.error("sshd_dropin_not_read", kSshdConfig, "sshd does not read " + std::string(kSshdDropIn),
               "write \"Include /etc/ssh/sshd_config.d/*.conf\" as its first line; then " + std::string(kSshdReload));
}

void SshdCheck::keys_commands() {
  const auto from_files = [](const SshdSettings& s) { return !s.is("authorizedkeysfile", "none"); };
  const auto files = accounts_where(from_files);
  if (!files.empty())
    found_.error("authorized_keys_read", where("authorizedkeysfile", from_files(globals_)),
                 "sshd takes keys from files for " + listed(files) + ": a key merely offered could pass for another",
                 "let AuthorizedKeysFile be none for all but the exempt group; then " + std::string(kSshdReload));
  const auto other_program = [](const SshdSettings& s) {
    const auto words = words_of(s.get("authorizedkeyscommand"));
    const auto given = [&](const char* word) { return std::find(words.begin(), words.end(), word) != words.end(); };
    return words.empty() || words[0] != kKeysProgram || !given("%u") || !given("%f") || !given("%t") || !given("%k");
  };
  const auto command = accounts_where(other_program);
  if (!command.empty())
    found_.error(
        "keys_command_other", where("authorizedkeyscommand", other_program(globals_)),
        "sshd asks something else than hallpass for the keys of " + listed(command),
        "let it be \"AuthorizedKeysCommand " + std::string(kKeysProgram) + " %u %f %t %k\"; then " + kSshdReload);
  const auto other_user = [](const SshdSettings& s) { return !s.is("authorizedkeyscommanduser", "root"); };
  const auto user = accounts_where(other_user);
  if (!user.empty() && command.empty())
    found_.error("keys_command_user", where("authorizedkeyscommanduser", other_user(globals_)),
                 "hallpass-keys does not run as root for " + listed(user) + ", so it gives no keys",
                 "let it be \"AuthorizedKeysCommandUser root\"; then " + std::string(kSshdReload));
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
        "`cp /usr/share/hallpass/sshd/hallpass-drop.conf /etc/ssh/sshd_config.d/`; then " + std::string(kSshdReload));
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

void check_sshd(const HostFacts& facts, Findings& found) {
  if (facts.on()) SshdCheck(facts, found).run();
}

}  // namespace hallpass
