#include "agent/sudoers.h"

#include <unistd.h>

#include <algorithm>

#include "host/sudo_defaults.h"
#include "tests/unit/agent/fixture.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

using State = SudoDefaults::State;

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool exists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

ProgramEnd exit_with(int status, std::string output = "", std::string errors = "") {
  ProgramEnd end;
  end.exited = true;
  end.status = status;
  end.output = std::move(output);
  end.errors = std::move(errors);
  return end;
}

// The files of a host; the two programs are played by the test.
struct SudoHost {
  TempDir dir;
  FakeJournal journal;
  SudoDefaults::Where where;
  std::unique_ptr<SudoDefaults> defaults;

  SudoHost() {
    demand(mkdir(at("sudoers.d").c_str(), 0755) == 0 && mkdir(at("var").c_str(), 0700) == 0);
    where = {at("sudoers"), at("var/sudoers.defaults"), at("cvtsudoers"), at("visudo"), geteuid()};
    for (const char* tool : {"cvtsudoers", "visudo"}) write_text(at(tool), "");
    write_text(where.sudoers, "Defaults env_reset\nalice ALL=ALL\n@includedir sudoers.d\n");
    defaults = std::make_unique<SudoDefaults>(where, journal);
  }
  std::string at(const std::string& name) const { return dir.path() + "/" + name; }
  // One round: true when cvtsudoers and visudo were asked for in this order, and nothing after them.
  bool prepare(const ProgramEnd& convert, const ProgramEnd& check) {
    defaults->look();
    const auto first = defaults->next();
    if (!first || first->argv.front() != where.cvtsudoers) return false;
    defaults->ended(convert);
    const auto second = defaults->next();
    if (!second || second->argv.front() != where.visudo || second->input != convert.output) return false;
    defaults->ended(check);
    return !defaults->next();
  }
  bool prepare(const std::string& text) { return prepare(exit_with(0, text), exit_with(0)); }
  bool idle() {
    defaults->look();
    return !defaults->next();
  }
  bool stands(const std::string& text) const {
    struct stat st {};
    return lstat(where.defaults.c_str(), &st) == 0 && (st.st_mode & 07777) == 0400 &&
           text_of(where.defaults) == sealed_defaults(text);
  }
};

int wrong_good() {
  SudoHost h;
  int wrong = wrong_if(!h.prepare("Defaults env_reset\n") || h.defaults->state() != State::ready, "it is prepared");
  wrong += wrong_if(!h.stands("Defaults env_reset\n"), "it stands, and is the owner's alone");
  wrong += wrong_if(h.journal.count(Event::sudoers_prepared) != 1, "it is told");
  wrong += wrong_if(!h.idle(), "no program without a change");
  write_text(h.at("sudoers.d/x"), "Defaults !lecture\n");
  wrong += wrong_if(!h.prepare("Defaults env_reset\nDefaults !lecture\n"), "a new file in a directory");
  wrong += wrong_if(!h.stands("Defaults env_reset\nDefaults !lecture\n"), "and it counts");
  write_text(h.at("sudoers.d/x.rpmsave"), "Defaults x\n");
  write_text(h.at("sudoers.d/x~"), "Defaults x\n");
  wrong += wrong_if(!h.idle(), "files that sudo skips");
  h.journal.told.clear();
  h.defaults = std::make_unique<SudoDefaults>(h.where, h.journal);
  wrong += wrong_if(!h.prepare("Defaults env_reset\nDefaults !lecture\n"), "a new agent looks anew");
  wrong += wrong_if(!h.journal.told.empty(), "and tells nothing when nothing is new");
  demand(chmod(h.where.defaults.c_str(), 0444) == 0);
  h.defaults = std::make_unique<SudoDefaults>(h.where, h.journal);
  wrong += wrong_if(
      !h.prepare("Defaults env_reset\nDefaults !lecture\n") || !h.stands("Defaults env_reset\nDefaults !lecture\n"),
      "a mode that is not ours is put right");
  write_text(h.where.sudoers, "alice ALL=ALL\n");
  h.defaults->look();
  h.defaults->next();
  h.defaults->ended(exit_with(0));
  wrong += wrong_if(h.defaults->state() != State::ready || !h.stands(""), "a site that sets nothing");
  return wrong;
}

struct Fault {
  const char* name;
  ProgramEnd convert, check;
  const char* why;
  bool again;  // tried again though nothing changed
};

int wrong_faults() {
  const ProgramEnd good = exit_with(0, "Defaults env_reset\n");
  const Fault faults[] = {
      {"cvtsudoers fails",
       exit_with(1, "", "/etc/sudoers:3:1: syntax error\nDefaults x\n  ^\n"),
       {},
       "cvtsudoers: /etc/sudoers:3:1: syntax error",
       false},
      {"cvtsudoers says nothing", exit_with(1), {}, "cvtsudoers: exit status 1", false},
      {"cvtsudoers is late", not_in_time(), {}, "did not end within 10 s", true},
      {"cvtsudoers leaves a rule in", exit_with(0, "Defaults x\nalice ALL = ALL\n"), {}, "alice ALL = ALL", false},
      {"visudo refuses", good, exit_with(1, "", "Warning: stdin:2:1: unused User_Alias \"A\"\nstdin:1:10: unknown\n"),
       "visudo: stdin:1:10: unknown", false},
      {"visudo is late", good, not_in_time(), "did not end within 10 s", true},
  };
  int wrong = 0;
  for (const Fault& f : faults) {
    SudoHost h;
    demand(h.prepare("Defaults env_reset\nDefaults old\n"));
    write_text(h.at("sudoers.d/x"), "changed");
    h.journal.told.clear();
    h.defaults->look();
    wrong += wrong_if(!exists(h.where.defaults), "the old one stands until it is known");
    h.defaults->next();
    h.defaults->ended(f.convert);
    if (h.defaults->next()) h.defaults->ended(f.check);
    wrong += wrong_if(exists(h.where.defaults), f.name);
    wrong += wrong_if(h.defaults->state() != State::unusable, f.name);
    wrong += wrong_if(h.defaults->why().find(f.why) == std::string::npos, f.name);
    wrong += wrong_if(h.journal.count(Event::sudoers_unusable) != 1 || h.journal.told.size() != 1, f.name);
    wrong += wrong_if(h.idle() == f.again, f.name);
    if (f.again) {
      h.defaults->ended(f.convert);
      if (h.defaults->next()) h.defaults->ended(f.check);
    }
    wrong += wrong_if(h.journal.told.size() != 1, "told once");
    write_text(h.at("sudoers.d/x"), "cured");
    wrong += wrong_if(!h.prepare("Defaults env_reset\n") || !h.stands("Defaults env_reset\n"), "and it is cured");
    wrong += wrong_if(!h.defaults->why().empty(), "nothing is left of it");
  }
  return wrong;
}

int wrong_absence() {
  int wrong = 0;
  for (const char* missing : {"sudoers", "cvtsudoers", "visudo"}) {
    SudoHost h;
    demand(h.prepare("Defaults env_reset\n"));
    h.journal.told.clear();
    demand(unlink(h.at(missing).c_str()) == 0);
    wrong += wrong_if(!h.idle() || h.defaults->state() != State::absent, missing);
    wrong += wrong_if(exists(h.where.defaults) || !h.journal.told.empty(), missing);
    wrong += wrong_if(h.defaults->why() != "there is no " + h.at(missing), missing);
    write_text(h.at(missing), "Defaults env_reset\n");
    wrong += wrong_if(!h.prepare("Defaults env_reset\n") || h.defaults->state() != State::ready, missing);
  }
  return wrong;
}

int wrong_owners() {
  SudoHost h;
  write_text(h.at("sudoers.d/x"), "Defaults x\n");
  demand(chmod(h.at("sudoers.d/x").c_str(), 0666) == 0);
  int wrong = wrong_if(!h.idle() || h.defaults->state() != State::unusable, "a file that everybody may write");
  demand(chmod(h.at("sudoers.d/x").c_str(), 0440) == 0 && chmod(h.at("sudoers.d").c_str(), 0777) == 0);
  wrong += wrong_if(!h.idle() || h.defaults->state() != State::unusable, "a directory that everybody may write");
  demand(chmod(h.at("sudoers.d").c_str(), 0750) == 0);
  wrong += wrong_if(!h.prepare("Defaults x\n"), "put right");
  h.where.owner = geteuid() + 1;
  h.defaults = std::make_unique<SudoDefaults>(h.where, h.journal);
  wrong += wrong_if(!h.idle() || h.defaults->why() != h.where.sudoers + " is not root's", "somebody else's");
  return wrong;
}

// What changed while a program ran is not what it read.
int wrong_races() {
  SudoHost h;
  h.defaults->look();
  int wrong = wrong_if(!h.defaults->next() || h.defaults->next(), "one program at a time");
  write_text(h.at("sudoers.d/x"), "Defaults x\n");
  h.defaults->look();
  wrong += wrong_if(h.defaults->next().has_value() || !h.defaults->outdated(), "still one, and it may be killed");
  h.defaults->ended(exit_with(1, "", "half a file\n"));
  wrong += wrong_if(!h.journal.told.empty() || h.defaults->outdated(), "what was outdated counts for nothing");
  wrong += wrong_if(!h.prepare("Defaults x\n"), "and it begins again");
  demand(rename(h.at("var").c_str(), h.at("gone").c_str()) == 0);
  write_text(h.at("sudoers.d/x"), "Defaults xy\n");
  wrong += wrong_if(!h.prepare("Defaults xy\n") || h.defaults->state() != State::unusable, "it cannot be written");
  demand(rename(h.at("gone").c_str(), h.at("var").c_str()) == 0);
  wrong += wrong_if(!h.prepare("Defaults xy\n") || !h.stands("Defaults xy\n"), "a minute later it can");
  return wrong;
}

int wrong_includes() {
  struct Row {
    const char* line;
    const char* path;
    bool directory;
  };
  const Row rows[] = {
      {"@include /etc/a", "/etc/a", false},
      {"#include b", "b", false},
      {"  @includedir /etc/sudoers.d", "/etc/sudoers.d", true},
      {"#includedir\t/etc/x ", "/etc/x", true},
      {"@include \"/etc/a b\" # why", "/etc/a b", false},
      {"@include /etc/a\\ b", "/etc/a b", false},
      {"@include /etc/s.%h", "/etc/s.web-3", false},
  };
  int wrong = 0;
  for (const Row& r : rows) {
    const auto found = sudoers_includes(std::string("Defaults x\n") + r.line + "\n", "web-3");
    wrong += wrong_if(found.size() != 1 || found[0].path != r.path || found[0].directory != r.directory, r.line);
  }
  for (const char* line : {"# include /etc/a", "#included /etc/a", "@include", "include /etc/a", "#1000 ALL=ALL"}) {
    wrong += wrong_if(!sudoers_includes(line, "web-3").empty(), line);
  }
  SudoHost h;
  write_text(h.where.sudoers, "@include more\n");
  write_text(h.at("more"), "@include sudoers\n@include missing\n#includedir " + h.at("sudoers.d") + "\n");
  write_text(h.at("sudoers.d/a"), "");
  const SudoersSurvey found = survey_sudoers(h.where.sudoers, geteuid());
  wrong += wrong_if(found.files.size() != 5 || found.files.count(h.at("sudoers.d/a")) == 0, "files by way of files");
  wrong += wrong_if(found.files.at(h.at("missing")) != FileStamp{}, "one that is not there");
  return wrong;
}

int wrong_lines() {
  int wrong = 0;
  for (const char* good : {"", "Defaults x\n", "Defaults:a !x\nDefaults@h x\nDefaults>r x\nDefaults!/bin/ls x",
                           "User_Alias A = b\nCmnd_Alias C = /x\nHost_Alias H = h\nRunas_Alias R = r\n", "# a\n\n",
                           "Defaults\\\n    secure_path=/usr/bin\n"}) {
    wrong += wrong_if(line_that_is_a_rule(good).has_value(), good);
  }
  for (const char* bad : {"a ALL=ALL", "Defaults x\n%sudo ALL=(ALL) ALL\n", "Defaultsx ALL=ALL\n", "@include /x\n",
                          "Defaults x\\\n y\nb ALL=ALL\n", "#comment\n\tALL ALL=ALL"}) {
    wrong += wrong_if(!line_that_is_a_rule(bad), bad);
  }
  return wrong;
}

// With sudo's own programs, where they are installed.
int wrong_for_real() {
  SudoHost h;
  h.where.cvtsudoers = "/usr/bin/cvtsudoers";
  h.where.visudo = "/usr/sbin/visudo";
  if (!exists(h.where.cvtsudoers) || !exists(h.where.visudo)) return 0;
  const auto prepare = [&] {
    h.defaults->look();
    while (const auto program = h.defaults->next()) h.defaults->ended(run_program(*program));
  };
  write_text(h.where.sudoers,
             "Defaults env_reset\nUser_Alias OPS = alice, bob\nDefaults:OPS !lecture\nOPS ALL=(ALL) ALL\n"
             "@includedir sudoers.d\n");
  write_text(h.at("sudoers.d/x"), "Defaults passprompt=\"a \\\"b\\\" %u\"\nroot ALL=(ALL:ALL) NOPASSWD: ALL\n");
  h.defaults = std::make_unique<SudoDefaults>(h.where, h.journal);
  prepare();
  int wrong = wrong_if(!h.stands("Defaults env_reset\nDefaults:OPS !lecture\nDefaults passprompt=\"a \\\"b\\\" %u\"\n\n"
                                 "User_Alias OPS = alice, bob\n"),
                       h.defaults->why().empty() ? text_of(h.where.defaults).c_str() : h.defaults->why().c_str());
  write_text(h.at("sudoers.d/x"), "Defaults passprompt=\n");
  prepare();
  wrong += wrong_if(exists(h.where.defaults) || h.defaults->why().find("sudoers.d/x:1") == std::string::npos, "broken");
  write_text(h.at("sudoers.d/x"), "Defaults no_such_thing\n");
  prepare();
  wrong += wrong_if(h.defaults->why().find("no_such_thing") == std::string::npos, "an unknown name");
  write_text(h.at("sudoers.d/x"), "");
  prepare();
  wrong += wrong_if(h.defaults->state() != State::ready, "cured");
  return wrong;
}

void test_good(void**) {
  assert_int_equal(wrong_good(), 0);
}
void test_faults(void**) {
  assert_int_equal(wrong_faults(), 0);
}
void test_absence(void**) {
  assert_int_equal(wrong_absence(), 0);
}
void test_owners(void**) {
  assert_int_equal(wrong_owners(), 0);
}
void test_races(void**) {
  assert_int_equal(wrong_races(), 0);
}
void test_includes(void**) {
  assert_int_equal(wrong_includes(), 0);
}
void test_lines(void**) {
  assert_int_equal(wrong_lines(), 0);
}
void test_for_real(void**) {
  assert_int_equal(wrong_for_real(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_good),    cmocka_unit_test(test_faults),
                              cmocka_unit_test(test_absence), cmocka_unit_test(test_owners),
                              cmocka_unit_test(test_races),   cmocka_unit_test(test_includes),
                              cmocka_unit_test(test_lines),   cmocka_unit_test(test_for_real)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
