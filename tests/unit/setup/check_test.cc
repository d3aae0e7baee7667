// A host made of files and of what its programs print. That real programs print this, and that each cure works,
// tests/system/test_host_check.py shows on a booted host.
#include "agent/setup/check.h"

#include <sys/stat.h>

#include <fstream>  // before cmocka.h, whose fail() is a macro
#include <functional>

#include "agent/ctl/check_view.h"
#include "agent/setup/check_facts.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/policy_fixture.h"
#include "tests/unit/setup/fake_root.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

constexpr char kSettings[] =
    "usepam yes\npubkeyauthentication yes\npasswordauthentication no\nkbdinteractiveauthentication no\n"
    "permitemptypasswords no\nhostbasedauthentication no\ngssapiauthentication no\nkerberosauthentication no\n"
    "permitrootlogin no\nauthenticationmethods any\ntrustedusercakeys none\nauthorizedprincipalsfile none\n"
    "authorizedprincipalscommand none\nauthorizedkeysfile none\nauthorizedkeyscommanduser root\n"
    "authorizedkeyscommand /usr/libexec/hallpass/hallpass-keys %u %f %t %k\n";
constexpr char kDebian[] =
    "auth required pam_unix.so\naccount required pam_nologin.so\naccount required pam_hallpass.so\n"
    "@include common-account\nsession required pam_loginuid.so\nsession requisite pam_hallpass.so\n"
    "@include common-session\nsession required pam_hallpass.so post\nsession required pam_env.so user_readenv=1\n";
constexpr char kRedHat[] =
    "auth substack password-auth\naccount required pam_sepermit.so\naccount required pam_nologin.so\n"
    "account required pam_hallpass.so\naccount include password-auth\n"
    "session required pam_selinux.so close\nsession required pam_loginuid.so\nsession requisite pam_hallpass.so\n"
    "session include password-auth\nsession required pam_hallpass.so post\n";
constexpr char kPasswordAuth[] =
    "account sufficient pam_localuser.so\naccount required pam_permit.so\n"
    "session optional pam_keyinit.so revoke\n-session optional pam_systemd.so\n"
    "session [success=1 default=ignore] pam_succeed_if.so service in crond quiet use_uid\nsession required "
    "pam_unix.so\n";

class FakePrograms final : public Programs {
 public:
  ProgramEnd run(const Program& program) override {
    const std::string& name = program.argv[0];
    if (name == "/usr/bin/systemctl") return units();
    if (name == "/usr/sbin/sshd") return sshd(program.argv);
    if (name == "/usr/bin/cvtsudoers") return ended(sudoers);
    return ended("", 2);
  }

  std::map<std::string, std::string> states = {{"hallpass-agent.service", "active"}};
  std::map<std::string, std::string> settings;  // by user, "" for all; of two equal keywords the first counts
  std::set<std::string> refused;                // users for whom sshd -T fails
  std::string sudoers = "{}";
  int asked = 0;

 private:
  static ProgramEnd ended(std::string output, int status = 0) {
    ProgramEnd end;
    end.exited = true;
    end.status = status;
    end.output = std::move(output);
    end.errors = status == 0 ? "" : "it failed";
    return end;
  }
  ProgramEnd units() const {
    std::string text;
    for (const auto& [name, state] : states)
      text += (text.empty() ? "" : "\n") + ("Id=" + name) + "\nNames=" + name +
              "\nLoadState=loaded\nUnitFileState=enabled\nActiveState=" + state + "\n";
    return ended(text, text.empty() ? 1 : 0);
  }
  ProgramEnd sshd(const std::vector<std::string>& argv) {
    ++asked;
    const std::string user = argv.size() < 4 ? "" : argv[3].substr(5, argv[3].find(',') - 5);
    if (refused.count(user) != 0) return ended("", 255);
    const auto own = settings.find(user);
    const auto all = settings.find("");
    // The first of several counts, as SshdSettings has it.
    return ended((own == settings.end() ? "" : own->second) + (all == settings.end() ? "" : all->second) + kSettings);
  }
};

struct World {
  FakeRoot root;
  FakePrograms programs;
  ClockReading clock;

  World() {
    clock.wall = *parse_time("2026-11-21T12:00:00Z");
    clock.boottime = Seconds{1000};
    clock.synchronised = true;
    write("/etc/passwd",
          "root:x:0:0::/root:/bin/bash\nalice:x:1001:1001::/home/alice:/bin/bash\nbob:x:1002:1002::/home/bob:/bin/sh\n"
          "deploy:x:1003:1003::/home/deploy:/bin/bash\nrescue:x:1004:1004::/home/rescue:/bin/bash\n");
    write("/home/rescue/.ssh/authorized_keys", TestKey::plain("rescue").line() + "\n");
    write("/etc/group", "hallpass-exempt:x:900:rescue\nops:x:50:bob\n");
    programs.settings["rescue"] = "authorizedkeysfile .ssh/authorized_keys\n";
    write("/etc/pam.d/sshd", kDebian);
    write("/etc/pam.d/common-account",
          "account [success=1 default=ignore] pam_unix.so\naccount requisite pam_deny.so\n");
    write("/etc/pam.d/common-session", "session optional pam_systemd.so\n");
    write("/etc/pam.d/password-auth", kPasswordAuth);
    write("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n");
    write("/etc/ssh/sshd_config.d/hallpass.conf", "AuthorizedKeysFile none\n");
    write("/etc/systemd/system/session-.scope.d/50-hallpass.conf", "");
    write("/lib/x/security/pam_hallpass.so", "");
    for (const char* program :
         {"/usr/sbin/hallpass-agent", "/usr/libexec/hallpass/hallpass-keys", "/usr/libexec/hallpass/why",
          "/usr/libexec/hallpass/ctl", "/usr/bin/systemctl", "/usr/bin/journalctl"})
      write(program, "");
    write("/etc/hallpass/host.toml",
          "name = \"web-3\"\nlabels = { env = \"prod\", role = \"web\" }\ndirectories = [\"/srv\"]\n");
    const std::string admins = "[\"" + TestKey::plain("ana").line() + "\"]";
    write("/etc/hallpass/trust.toml", "fleet = \"acme-prod\"\n[admins]\nthreshold = 2\n[admins.people]\nana = " +
                                          admins + "\nben = [\"" + TestKey::plain("ben").line() + "\"]\n");
    write("/run/hallpass/policy.toml", policy_text());
    write("/run/hallpass/status.json", "{\"uptime\":990,\"problems\":[]}");
    write("/var/lib/hallpass/admissions.mdb", "");
    chmod(root.layout.snapshot().c_str(), 0600);
    write("/var/log/journal/x", "");
    write("/etc/sudo.conf",
          "Plugin hallpass_policy /usr/lib/hallpass/hallpass_sudo.so\nPlugin sudoers_io sudoers.so\n"
          "Plugin hallpass_audit /usr/lib/hallpass/hallpass_sudo.so\n");
    write("/usr/lib/hallpass/hallpass_sudo.so", "");
    write("/etc/sudoers", "");
  }
  void write(const std::string& path, const std::string& text) const { root.write(path, text); }
  CheckReport check() { return check_host(root.layout, programs, clock, geteuid()); }
};

struct Case {
  const char* name;
  std::function<void(World&)> change;
  const char* codes;      // each with a blank after it
  const char* word = "";  // in the first one's place or sentence
};

const char kObserving[] =
    "account required pam_hallpass.so mode=observe\n@include common-account\n"
    "session required pam_loginuid.so\nsession requisite pam_hallpass.so mode=observe\n"
    "@include common-session\nsession required pam_hallpass.so post mode=observe\n";

void observe(World& w) {
  w.write("/etc/pam.d/sshd", kObserving);
  std::filesystem::remove(w.root.layout.at("/etc/ssh/sshd_config.d/hallpass.conf"));
}

const Case kCases[] = {
    {"a healthy host", [](World&) {}, ""},
    {"Red Hat's stack", [](World& w) { w.write("/etc/pam.d/sshd", kRedHat); }, ""},
    {"Red Hat's stack, too late",
     [](World& w) {
       w.write("/etc/pam.d/sshd", "account include password-auth\n" +
                                      std::string(kRedHat).erase(std::string(kRedHat).find("account include"), 30));
     },
     "pam_order ", "password-auth:1"},
    {"while it observes, doors do not matter",
     [](World& w) {
       observe(w);
       w.programs.settings[""] =
           "passwordauthentication yes\nauthorizedkeysfile .ssh/authorized_keys\npermitrootlogin yes\n";
       w.write("/home/alice/.ssh/authorized_keys", TestKey::plain("x").line() + "\n");
     },
     "mode_observe "},
    {"while it observes, PAM matters",
     [](World& w) {
       observe(w);
       w.programs.settings[""] = "usepam no\n";
     },
     "usepam_off mode_observe ", "sshd_config:2"},
    {"switched off, only what will be needed matters",
     [](World& w) {
       observe(w);
       w.write("/etc/pam.d/sshd", "@include common-account\n");
       w.programs.refused = {""};
       w.programs.states["hallpass-agent.service"] = "failed";
     },
     "agent_down mode_off "},
    {"the drop-in without PAM's lines: somebody took half away",
     [](World& w) { w.write("/etc/pam.d/sshd", "@include common-account\n@include common-session\n"); },
     "pam_lines_missing ", "post"},
    {"another exempt group",
     [](World& w) {
       std::string text = kDebian;
       for (std::size_t at = 0; (at = text.find("pam_hallpass.so", at)) != std::string::npos; at += 40)
         text.insert(at + 15, " exempt_group=ops");
       w.write("/etc/pam.d/sshd", text);
       w.write("/home/bob/.ssh/authorized_keys", "");
       w.programs.settings.erase("rescue");
       std::filesystem::remove(w.root.layout.at("/home/rescue/.ssh/authorized_keys"));
     },
     "exempt_without_key ", "bob"},
    {"an exempt account with a password that sshd does not take",
     [](World& w) {
       std::filesystem::remove(w.root.layout.at("/home/rescue/.ssh/authorized_keys"));
       w.write("/etc/shadow", "rescue:$6$abcdefgh$ijklmnopqrstuvwxyz:20000::::::\n");
     },
     "exempt_without_key ", "rescue"},
    {"an exempt account with a password that sshd takes",
     [](World& w) {
       std::filesystem::remove(w.root.layout.at("/home/rescue/.ssh/authorized_keys"));
       w.write("/etc/shadow", "rescue:$6$abcdefgh$ijklmnopqrstuvwxyz:20000::::::\n");
       w.programs.settings["rescue"] = "authorizedkeysfile .ssh/authorized_keys\npasswordauthentication yes\n";
     },
     ""},
    {"no systemd to ask", [](World& w) { w.programs.states.clear(); }, "not_checked ", "systemctl"},
    {"no accounts to read", [](World& w) { std::filesystem::remove(w.root.layout.at("/etc/passwd")); },
     // Then the policy's accounts seem to be missing, too.
     "account_missing not_checked person_without_account "},
    {"a Match block that sshd refuses for one account", [](World& w) { w.programs.refused = {"bob"}; }, "sshd_refuses ",
     "bob"},
    {"a Match block for one account",
     [](World& w) {
       w.programs.settings["deploy"] = "authorizedkeysfile /etc/keys/%u\n";
       w.write("/etc/ssh/sshd_config.d/00-x.conf", "Match User deploy\nAuthorizedKeysFile /etc/keys/%u\n");
     },
     "authorized_keys_read ", "00-x.conf:2"},
    {"a Match block by source ends with its file",
     [](World& w) { w.write("/etc/ssh/sshd_config.d/00-x.conf", "Match Address 10.0.0.0/8\nBanner /x\n"); }, ""},
    {"a Match block by source reaches into what it includes",
     [](World& w) {
       w.write("/etc/ssh/sshd_config",
               "Include /etc/ssh/sshd_config.d/*.conf\nMatch address 10.0.0.0/8\nInclude /etc/ssh/x\n");
       w.write("/etc/ssh/x", "PasswordAuthentication yes\n");
     },
     "match_by_source ", "/etc/ssh/x:1"},
    {"several methods, a key first",
     [](World& w) {
       w.programs.settings[""] = "authenticationmethods publickey,password publickey\npasswordauthentication yes\n";
     },
     ""},
    {"a method with a device, which is off",
     [](World& w) { w.programs.settings[""] = "authenticationmethods publickey,keyboard-interactive:pam\n"; },
     "methods_unmet "},
    {"hallpass-keys without the key",
     [](World& w) { w.programs.settings[""] = "authorizedkeyscommand /usr/libexec/hallpass/hallpass-keys %u %f\n"; },
     "keys_command_other "},
    {"a jump in sudoers' users that takes one out again",
     [](World& w) {
       w.programs.sudoers =
           R"({"User_Specs":[{"User_List":[{"usergroup":"ops"},{"username":"bob","negated":true}],"Cmnd_Specs":[{"Commands":[{"command":"ALL"}]}]}]})";
     },
     ""},
    {"a rule of sudoers by group",
     [](World& w) {
       w.programs.sudoers =
           R"({"User_Specs":[{"User_List":[{"usergroup":"ops"}],"Cmnd_Specs":[{"Commands":[{"command":"/x"}]}]}]})";
     },
     "sudo_rule ", "bob"},
    {"a rule of sudoers for root and the exempt group alone",
     [](World& w) {
       w.programs.sudoers =
           R"({"User_Specs":[{"User_List":[{"username":"root"},{"username":"rescue"}],"Cmnd_Specs":[{"Commands":[{"command":"ALL"}]}]}]})";
     },
     ""},
    {"sudoers that make no sense", [](World& w) { w.programs.sudoers = "[1.5]"; }, "not_checked ", "/etc/sudoers"},
    {"a drop-in of journald overrules its file",
     [](World& w) {
       w.write("/etc/systemd/journald.conf", "[Journal]\nStorage=none\n");
       w.write("/usr/lib/systemd/journald.conf.d/50.conf", "[Journal]\nStorage=persistent\n");
       w.write("/etc/systemd/journald.conf.d/40.conf", "[Journal]\nStorage=volatile\n");
     },
     ""},
    {"a drop-in in /etc takes the place of one in /usr/lib",
     [](World& w) {
       w.write("/usr/lib/systemd/journald.conf.d/50.conf", "[Journal]\nStorage=persistent\n");
       w.write("/etc/systemd/journald.conf.d/50.conf", "[Journal]\nStorage=volatile\n");
     },
     "journal_volatile "},
    {"the agent's own words",
     [](World& w) {
       w.write(
           "/run/hallpass/status.json",
           R"({"uptime":990,"problems":["the log is stale: x","the policy has expired: nobody","cannot write: y"]})");
     },
     "agent_problem log_stale ", "cannot write: y"},
    {"a status that nobody can read", [](World& w) { w.write("/run/hallpass/status.json", "{"); }, "agent_stale "},
    {"a policy that is over", [](World& w) { w.clock.wall = *parse_time("2027-06-30T00:00:00Z"); }, "policy_expired "},
    {"a policy that is nearly over", [](World& w) { w.clock.wall = *parse_time("2027-06-10T00:00:00Z"); },
     "policy_expires_soon "},
    {"a host that no rule reaches",
     [](World& w) {
       w.write("/etc/hallpass/host.toml", "name = \"db-1\"\ndirectories = [\"/srv\"]\n");
       std::filesystem::remove(w.root.layout.at("/usr/bin/journalctl"));
     },
     ""},
    {"a command that is missing", [](World& w) { std::filesystem::remove(w.root.layout.at("/usr/bin/journalctl")); },
     "command_missing ", "restart-web"},
    {"a runbook for root makes root's logins meant",
     [](World& w) {
       w.programs.settings[""] = "permitrootlogin prohibit-password\n";
       w.write("/run/hallpass/policy.toml",
               policy_text("account          = \"deploy\"", "account          = \"root\""));
     },
     ""},
    {"words of the host's that would paint the terminal",
     [](World& w) { w.write("/home/alice/.ssh/authorized_keys", TestKey::plain("x").line() + " \033[2J\n"); },
     "stray_keys ", "\\x1b[2J"},
};

int wrong_cases() {
  int wrong = 0;
  for (const Case& c : kCases) {
    World world;
    c.change(world);
    const CheckReport report = world.check();
    std::string codes, text;
    for (const Finding& f : report.findings) {
      codes += f.code + " ";
      text += "\n  " + f.code + " " + f.where + ": " + f.what;
      wrong += wrong_if(f.cure.empty() || f.what.empty() || f.where.empty(), c.name);
    }
    const std::string first = report.findings.empty() ? "" : report.findings[0].where + ": " + report.findings[0].what;
    const bool bad = codes != c.codes || first.find(c.word) == std::string::npos;
    wrong += wrong_if(bad, (c.name + text).c_str());
  }
  return wrong;
}
void test_cases(void** /*state*/) {
  assert_int_equal(wrong_cases(), 0);
}

// Those whom it concerns are asked about first.
int wrong_cap() {
  World world;
  std::string passwd;
  for (int i = 0; i < 400; ++i)
    passwd += "n" + std::to_string(i) + ":x:" + std::to_string(2000 + i) + ":1::/n:/bin/sh\n";
  world.write("/etc/passwd", passwd +
                                 "root:x:0:0::/root:/bin/bash\nalice:x:1001:1001::/home/alice:/bin/bash\n"
                                 "bob:x:1002:1002::/home/bob:/bin/sh\ndeploy:x:1003:1003::/home/deploy:/bin/bash\n"
                                 "rescue:x:1004:1004::/home/rescue:/bin/bash\n");
  world.programs.settings["deploy"] = "authorizedkeysfile /etc/keys/%u\n";
  world.programs.settings["n399"] = "passwordauthentication yes\n";
  const CheckReport report = world.check();
  int wrong = wrong_if(report.findings.size() != 2 || report.findings[0].code != "authorized_keys_read" ||
                           report.findings[1].code != "sshd_not_all_asked",
                       "the runbooks' accounts first");
  wrong += wrong_if(world.programs.asked > 300, "it ends somewhere");
  return wrong;
}
void test_cap(void** /*state*/) {
  assert_int_equal(wrong_cap(), 0);
}

int wrong_views() {
  CheckReport report;
  report.host = "web-3";
  report.mode = Mode::enforce;
  int wrong = wrong_if(check_lines(report, true) != "web-3 (enforcing): nothing found\n", "nothing");
  wrong += wrong_if(check_code(report) != 0, "0 for nothing");
  report.findings = {{Severity::note, "b", "w", "x", "c"}};
  wrong += wrong_if(check_code(report) != 0, "0 for notes");
  report.findings.insert(report.findings.begin(), {Severity::warning, "a", "/etc/x", "is wrong", "`rm \"x\"`"});
  wrong += wrong_if(check_code(report) != 1, "1 for warnings");
  wrong += wrong_if(check_lines(report, false) !=
                        "warning  a  /etc/x: is wrong\n         cure: `rm \"x\"`\nnote     b  w: x\n         cure: c\n"
                        "web-3 (enforcing): 1 warning, 1 note\n",
                    "lines");
  wrong += wrong_if(check_lines(report, true).rfind("\033[33mwarning  \033[0ma", 0) != 0, "colour");
  report.findings.push_back({Severity::error, "e", "w", "x", "c"});
  report.findings.push_back({Severity::error, "e", "w", "x", "c"});
  report.host.clear();
  wrong += wrong_if(check_code(report) != 2, "2 for errors");
  wrong += wrong_if(
      check_lines(report, false).find("\nthis host (enforcing): 2 errors, 1 warning, 1 note\n") == std::string::npos,
      "counts");
  const auto json = parse_json(check_json(report));
  const Json* errors = json ? json->find("errors") : nullptr;
  const Json* host = json ? json->find("host") : nullptr;
  wrong += wrong_if(errors == nullptr || errors->as_int() == nullptr || *errors->as_int() != 2 || host == nullptr ||
                        !host->is_null() || json->find("findings")->as_array()->size() != 4,
                    "JSON");
  return wrong;
}
void test_views(void** /*state*/) {
  assert_int_equal(wrong_views(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_cap), cmocka_unit_test(test_views)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
