#include "sudo_plugin/grants.h"

#include "sudo_plugin/listing.h"
#include "tests/unit/host/snapshot_fixture.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)
using Kind = Command::Kind;
using Mode = Wish::Mode;
using What = Miss::What;
using List = std::vector<std::string>;

class AllowAll : public Files {
 public:
  bool allows(std::string_view, std::string_view) const override { return true; }
  std::string wrong_on_the_way(const std::string& program, const std::string&) const override {
    return program.starts_with("/open/") ? "anybody's" : "";
  }
  bool is_same(const std::string& one, const std::string& other) const override { return one == "/usr" + other; }
};

Command run(List words, const char* user = "root", const char* group = "") {
  Command c;
  c.as_user = user;
  c.as_group = group;
  c.executables = {words.front()};
  c.arguments.assign(words.begin() + 1, words.end());
  return c;
}
Command of_kind(Kind kind, List arguments = {}) {
  Command c;
  c.kind = kind;
  c.as_user = "root";
  c.arguments = std::move(arguments);
  return c;
}
Command keeping(Command c, List names) {
  c.env_keep = std::move(names);
  return c;
}
Command with(Command c, Subcommands s) {
  c.subcommands = s;
  return c;
}

Wish wish(Mode mode, const char* program, std::vector<std::string_view> arguments, const char* user = "root",
          const char* group = "", List environment = {}) {
  Wish w;
  w.mode = mode;
  w.typed = w.program = program;
  w.arguments = std::move(arguments);
  w.user = user;
  w.group = group;
  w.environment = std::move(environment);
  return w;
}

struct Case {
  const char* name;
  Command command;
  Wish wanted;
  What miss;  // nothing with `covered` false: not even near
  bool covered;
};

const Case kCases[] = {
    {"as named", run({"/usr/bin/x", "a"}), wish(Mode::run, "/usr/bin/x", {"a"}), What::nothing, true},
    {"another argument", run({"/usr/bin/x", "a"}), wish(Mode::run, "/usr/bin/x", {"b"}), What::argument, false},
    {"one argument more", run({"/usr/bin/x", "a"}), wish(Mode::run, "/usr/bin/x", {"a", "b"}), What::argument, false},
    {"none", run({"/usr/bin/x", "a"}), wish(Mode::run, "/usr/bin/x", {}), What::argument, false},
    {"two in one", run({"/usr/bin/x", "a", "b"}), wish(Mode::run, "/usr/bin/x", {"a b"}), What::argument, false},
    {"the same file by another way", run({"/usr/bin/x"}), wish(Mode::run, "/bin/x", {}), What::nothing, true},
    {"the same file by another name", run({"/usr/bin/x"}), wish(Mode::run, "/bin/y", {}), What::nothing, false},
    {"a program that others may replace", run({"/open/x"}), wish(Mode::run, "/open/x", {}), What::changeable, false},
    {"the same name elsewhere", run({"/usr/bin/x", "a"}), wish(Mode::run, "/tmp/x", {"a"}), What::program, false},
    {"another program", run({"/usr/bin/x"}), wish(Mode::run, "/usr/bin/y", {}), What::nothing, false},
    {"another user", run({"/usr/bin/x"}), wish(Mode::run, "/usr/bin/x", {}, "bob"), What::user, false},
    {"a group that is not named", run({"/usr/bin/x"}), wish(Mode::run, "/usr/bin/x", {}, "root", "adm"), What::group,
     false},
    {"a named group", run({"/usr/bin/x"}, "root", "adm"), wish(Mode::run, "/usr/bin/x", {}, "root", "adm"),
     What::nothing, true},
    {"a named group, not asked for", run({"/usr/bin/x"}, "root", "adm"), wish(Mode::run, "/usr/bin/x", {}), What::group,
     false},
    {"a variable", run({"/usr/bin/x"}), wish(Mode::run, "/usr/bin/x", {}, "root", "", {"LANG"}), What::environment,
     false},
    {"a variable that may pass", keeping(run({"/usr/bin/x"}), {"TZ", "LANG"}),
     wish(Mode::run, "/usr/bin/x", {}, "root", "", {"LANG"}), What::nothing, true},
    {"one that may and one that may not", keeping(run({"/usr/bin/x"}), {"LANG"}),
     wish(Mode::run, "/usr/bin/x", {}, "root", "", {"LANG", "TZ"}), What::environment, false},
    {"in a shell", run({"/usr/bin/x"}), wish(Mode::shell, "", {}), What::kind, false},
    {"checked sub-commands, which this sudo cannot", with(run({"/usr/bin/x"}), Subcommands::check),
     wish(Mode::run, "/usr/bin/x", {}), What::ability, false},
    {"a way of sub-commands that a later version knows", with(run({"/usr/bin/x"}), static_cast<Subcommands>(3)),
     wish(Mode::run, "/usr/bin/x", {}), What::nothing, false},
    {"a kind that a later version knows", of_kind(static_cast<Kind>(4)), wish(Mode::run, "/usr/bin/x", {}),
     What::nothing, false},
    {"any", of_kind(Kind::any), wish(Mode::run, "/usr/bin/x", {"a"}), What::nothing, true},
    {"any, as another", of_kind(Kind::any), wish(Mode::run, "/usr/bin/x", {"a"}, "bob"), What::user, false},
    {"a shell, as typed", of_kind(Kind::shell), wish(Mode::shell, "", {}), What::nothing, true},
    {"a shell, resolved", of_kind(Kind::shell), wish(Mode::shell, "/bin/sh", {"-c", "id"}), What::nothing, true},
    {"a shell that is none", of_kind(Kind::shell), wish(Mode::shell, "/tmp/sh", {}), What::nothing, false},
    {"a shell by its name", of_kind(Kind::shell), wish(Mode::run, "/bin/sh", {}), What::nothing, true},
    {"a command instead of the shell", of_kind(Kind::shell), wish(Mode::run, "/usr/bin/id", {}), What::nothing, false},
    {"a file", of_kind(Kind::edit, {"/etc/motd"}), wish(Mode::edit, "", {"/etc/motd"}), What::nothing, true},
    {"two files", of_kind(Kind::edit, {"/etc/motd", "<path:/etc/x/>"}), wish(Mode::edit, "", {"/etc/x/a", "/etc/motd"}),
     What::nothing, true},
    {"a file and another", of_kind(Kind::edit, {"/etc/motd"}), wish(Mode::edit, "", {"/etc/motd", "/etc/shadow"}),
     What::argument, false},
    {"a file with dots", of_kind(Kind::edit, {"<path:/etc/x/**>"}), wish(Mode::edit, "", {"/etc/x/../shadow"}),
     What::argument, false},
    {"no file", of_kind(Kind::edit, {"/etc/motd"}), wish(Mode::edit, "", {}), What::nothing, false},
    {"edit does not run", of_kind(Kind::edit, {"/etc/motd"}), wish(Mode::run, "/etc/motd", {}), What::nothing, false},
    {"run does not edit", run({"/etc/motd"}), wish(Mode::edit, "", {"/etc/motd"}), What::nothing, false},
    {"nothing asked", of_kind(Kind::any), wish(Mode::none, "", {}), What::nothing, false},
};

Session session_of(const char* subject, const char* account) {
  Session s;
  s.subject = subject;
  s.account = account;
  return s;
}

int wrong_covers() {
  int wrong = 0;
  const AllowAll paths;
  const Abilities old;
  const Session session = session_of("alice", "alice");
  for (const Case& c : kCases) {
    Miss miss;
    const bool covered = Matcher(c.wanted, session, old, paths).covers(c.command, miss);
    wrong += wrong_if(covered != c.covered || (!covered && miss.what != c.miss), c.name);
  }
  return wrong;
}

// Which grant decides, and whose count.
int wrong_search() {
  SnapshotContent c = content();
  c.admissions = {admission("alice", "alice", 1000, 2000, 1),  admission("alice", "alice", 1000, 3000, 2),
                  admission("alice", "bob", 1000, 9000, 3),    admission("alice", "alice", 5000, 9000, 4),
                  admission("deploy", "alice", 1000, 2000, 5), admission("deploy", "alice", 1000, 2500, 6)};
  for (Admission& a : c.admissions) a.commands = {run({"/usr/bin/x", "a"})};
  c.admissions[0].commands.push_back(run({"/usr/bin/x", "b"}));
  c.admissions[5].shared_sudo = true;
  const Store files(c);
  const auto store = files.open();
  if (!store) return wrong_if(true, "the store opens");
  const AllowAll paths;
  const Abilities now;
  const auto end = [&](const Session& s, const char* argument, long long at) -> long long {
    const Wish w = wish(Mode::run, "/usr/bin/x", {argument});
    const Search found = Matcher(w, s, now, paths).search(*store, from_unix(at));
    return found.cover ? to_unix(found.cover->end) : -found.grants;
  };
  const Session personal = session_of("alice", "alice"), shared = session_of("alice", "deploy"),
                other = session_of("carol", "alice");
  return wrong_if(end(personal, "a", 1500) != 3000, "of two that cover the one that ends last") +
         wrong_if(end(personal, "b", 1500) != 2000, "the only one that covers") +
         wrong_if(end(personal, "b", 2000) != -1, "its end has come, another is open") +
         wrong_if(end(personal, "a", 999) != 0, "none has begun") +
         wrong_if(end(personal, "a", 4000) != 0, "all are over") +
         wrong_if(end(personal, "c", 1500) != -2, "open, but not for this") +
         wrong_if(end(shared, "a", 1500) != 2500, "on a shared account only with shared_sudo") +
         wrong_if(end(other, "a", 1500) != 0, "nobody else's");
}

int wrong_others() {
  SnapshotContent c = content();
  c.admissions = {admission("alice", "alice", 1000, 2000, 1)};
  c.admissions[0].commands = {with(run({"/usr/bin/x"}), Subcommands::check), run({"/usr/bin/y"})};
  const Store files(c);
  const auto store = files.open();
  if (!store) return wrong_if(true, "the store opens");
  const AllowAll paths;
  Abilities now;
  now.intercept = true;
  const Session session = session_of("alice", "alice");
  const Wish x = wish(Mode::run, "/usr/bin/x", {}), y = wish(Mode::run, "/usr/bin/y", {});
  const Search one = Matcher(x, session, now, paths).search(*store, from_unix(1500));
  const Search two = Matcher(y, session, now, paths).search(*store, from_unix(1500));
  return wrong_if(!one.cover || one.cover->others.size() != 2, "what a checked command may start") +
         wrong_if(!two.cover || !two.cover->others.empty(), "no check, no others");
}

// What people read.
int wrong_words() {
  SnapshotContent c = content();
  c.admissions = {admission("alice", "alice", 1000, 4000, 1)};
  c.admissions[0].commands = {run({"/usr/bin/systemctl", "{restart,reload}", "nginx"}), of_kind(Kind::shell)};
  const Store files(c);
  const auto store = files.open();
  if (!store) return wrong_if(true, "the store opens");
  const AllowAll paths;
  const Abilities now;
  const Session session = session_of("alice", "alice");
  const Wish w = wish(Mode::run, "/usr/bin/systemctl", {"stop", "nginx"});
  const std::string words =
      not_covered(w, Matcher(w, session, now, paths).search(*store, from_unix(1600)), "alice", from_unix(1600));
  const std::string listed = list_grants(*store, session, now, from_unix(1600));
  const Wish odd = wish(Mode::run, "/usr/bin/\x1b[31mx", {"a b", "\n"});
  const std::string safe = not_covered(odd, Search{}, "alice", from_unix(1600));
  int wrong = 0;
  for (const char* part :
       {"systemctl stop nginx", "grant k7m3-9x2d-q4fh (restart-web), 40m left",
        "argument 1, stop, does not match {restart,reload}", "sudo /usr/bin/systemctl {restart,reload} nginx"}) {
    wrong += wrong_if(words.find(part) == std::string::npos, part);
  }
  for (const char* part :
       {"alice may run the following on web-3 by grants:", "(root) /usr/bin/systemctl {restart,reload} nginx",
        "(root) a shell", "(40m left), grant k7m3-9x2d-q4fh (restart-web), approved by bob and ana",
        "502s on checkout [INC-2031]"}) {
    wrong += wrong_if(listed.find(part) == std::string::npos, part);
  }
  return wrong + wrong_if(safe.find('\x1b') != std::string::npos, "nothing typed reaches the terminal as it is") +
         wrong_if(safe.find("'a b'") == std::string::npos, "a space stays inside its argument");
}

// Of several commands of one program the one that was meant is named: the one with most of the first words right, and
// among those one of the right length. `journalctl -u nginx -n 99999` once was told that it lacks two arguments.
struct NearestCase {
  const char* name;
  std::vector<std::string_view> typed;
  const char* words;
};
const NearestCase kNearest[] = {
    {"a number out of range", {"-u", "nginx", "-n", "99999"}, "argument 4, 99999, does not match <int:1..5000>"},
    {"an option put behind", {"-u", "nginx", "-f", "-x"}, "it takes 3 arguments, not 4"},
    {"one word more", {"--since", "20*", "x"}, "argument 1"},
    {"another unit", {"-u", "ssh", "-f"}, "argument 2, ssh, does not match nginx"},
    {"half of it", {"-u", "nginx", "--since", "2026"}, "it takes 6 arguments, not 4"},
};

int wrong_nearest() {
  SnapshotContent c = content();
  c.admissions = {admission("alice", "alice", 1000, 4000, 1)};
  const char* journalctl = "/usr/bin/journalctl";
  c.admissions[0].commands = {run({journalctl, "-u", "nginx", "-n", "<int:1..5000>"}),
                              run({journalctl, "-u", "nginx", "-f"}),
                              run({journalctl, "-u", "nginx", "--since", "20*", "--until", "20*"})};
  const Store files(c);
  const auto store = files.open();
  if (!store) return wrong_if(true, "the store opens");
  const AllowAll paths;
  const Abilities now;
  const Session session = session_of("alice", "alice");
  int wrong = 0;
  for (const NearestCase& n : kNearest) {
    const Wish w = wish(Mode::run, journalctl, n.typed);
    const std::string words =
        not_covered(w, Matcher(w, session, now, paths).search(*store, from_unix(1600)), "alice", from_unix(1600));
    wrong += wrong_if(words.find(n.words) == std::string::npos, n.name);
  }
  return wrong;
}

void test_covers(void**) {
  assert_int_equal(wrong_covers(), 0);
}
void test_search(void**) {
  assert_int_equal(wrong_search(), 0);
}
void test_others(void**) {
  assert_int_equal(wrong_others(), 0);
}
void test_nearest(void**) {
  assert_int_equal(wrong_nearest(), 0);
}
void test_words(void**) {
  assert_int_equal(wrong_words(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_covers), cmocka_unit_test(test_search),
                              cmocka_unit_test(test_others), cmocka_unit_test(test_nearest),
                              cmocka_unit_test(test_words)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
