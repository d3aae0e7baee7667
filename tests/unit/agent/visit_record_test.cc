// The file of a visit is read back as it was written, and nothing else is read; names of at's files.
#include "agent/visit_record.h"

#include "agent/account_traces.h"
#include "agent/at_spool.h"
#include "tests/unit/agent/fixture.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

Visit full() {
  Visit v;
  v.account = v.subject = "alice";
  v.uid = 4294967294;
  v.personal = true;
  v.grant_id = "k7m3-9x2d-q4fh";
  v.boot = "b";
  v.start = 77;
  v.began = 1'795'269'336'449'209'000;
  v.linger = 12;
  v.units = {{"/user.slice/user-1000.slice/user@1000.service/app.slice/a\\x2db.service", 5}};
  v.logins = {{4294967294, 6}, {3, 7}};
  v.jobs = {{"0000301c8a063", 8, true}, {"0000401c8a063", 9, false}};
  v.crontabs = {{"/var/spool/cron/crontabs/alice", 10, {"aa", "bb"}}};
  return v;
}

int wrong_round() {
  const std::string text = encode_visit(full());
  const auto back = decode_visit(text);
  int wrong = wrong_if(!back || encode_visit(*back) != text, "full");
  wrong += wrong_if(!back || !back->had_login(3, "b") || back->had_login(3, "c") || back->had_login(4, "b"), "logins");
  wrong += wrong_if(!back || back->since("b") != 77 || back->since("c") != 0, "since");
  const std::string empty = encode_visit(Visit{});
  const auto none = decode_visit(empty);
  return wrong + wrong_if(!none || encode_visit(*none) != empty || none->linger, "empty");
}

// Cut anywhere, or with any member away, it is no record.
int wrong_damage() {
  const std::string text = encode_visit(full());
  int wrong = 0;
  for (std::size_t n = 0; n + 2 < text.size(); ++n) {
    wrong += wrong_if(decode_visit(text.substr(0, n)).has_value(), "cut");
  }
  std::size_t members = 0;
  for (std::size_t at = text.find('"'); at != std::string::npos; at = text.find('"', at + 1)) {
    const std::size_t end = text.find('"', at + 1);
    if (text.compare(end, 2, "\":") == 0) {
      std::string other = text;
      other.replace(at, end - at + 1, "\"other\"");
      wrong += wrong_if(decode_visit(other).has_value(), text.substr(at, end - at).c_str());
      ++members;
    }
    at = end;
  }
  return wrong + wrong_if(members < 25, "all members looked at");
}

int wrong_move_back() {
  Visit v = full();
  v.began = 100;
  v.move_back(6, 9);
  int wrong = wrong_if(v.linger.has_value() || !v.logins.empty() || v.units.size() != 1, "younger is away");
  wrong += wrong_if(v.jobs.size() != 1 || v.jobs[0].name != "0000301c8a063", "older stays");
  return wrong +
         wrong_if(!v.crontabs[0].lines.empty() || v.start != 6 || v.began != 9, "a younger crontab says nothing");
}

struct Name {
  const char* name;
  bool is_job;
};
const Name kNames[] = {
    {"a0000201c88f83", true},
    {"=0000201c88f83", true},
    {"B0000201c88f83", true},
    {"a0000201c88f8", false},
    {"", false},
    {"=", false},
    {".SEQ", false},
    {"a0000201C88F83", false},
    {"a0000201c88f8g", false},
    {"10000201c88f83", false},
    {"a0000201c88f83.x", false},
};

int wrong_spool() {
  TempDir dir;
  const std::vector<std::string> spools = {dir.path() + "/none", dir.path()};
  int wrong = 0;
  for (const Name& n : kNames) {
    if (n.name[0] == '\0') continue;
    const std::string path = dir.path() + "/" + n.name;
    write_text(path, "x");
    const auto jobs = at_jobs(spools, ::geteuid());
    wrong += wrong_if(jobs.size() != (n.is_job ? 1U : 0U), n.name);
    wrong += wrong_if(!at_jobs(spools, ::geteuid() + 1).empty(), "another's");
    for (const AtJob& job : jobs) {
      wrong += wrong_if(remove_at_job(job, ::geteuid() + 1).has_value() || !std::filesystem::exists(path), "another's");
      wrong += wrong_if(!remove_at_job(job, ::geteuid()) || std::filesystem::exists(path), "removed");
      wrong += wrong_if(!remove_at_job(job, ::geteuid()), "gone already");
    }
    std::filesystem::remove(path);
  }
  std::filesystem::create_directory(dir.path() + "/a0000201c88f83");
  std::filesystem::create_symlink("/etc/passwd", dir.path() + "/a0000301c88f83");
  wrong += wrong_if(!at_jobs(spools, ::geteuid()).empty(), "neither directories nor links");
  wrong += wrong_if(at_job_due("0000201c88f83") != 0x01c88f83LL * 60'000'000'000, "due");
  wrong += wrong_if(at_job_due("00002ffffffff") <= 0 || at_job_due("x") != 0, "due at no time");
  return wrong + wrong_if(at_job_number("0000201c88f83") != "2" || at_job_number("0001f01c88f83") != "31", "number");
}

struct Group {
  const char* group;
  const char* unit;
};
const Group kGroups[] = {
    {"/m/app.slice/web.service", "/m/app.slice/web.service"},
    {"/m/app.slice/web.service/worker/1", "/m/app.slice/web.service"},
    {"/m/app.slice/app-x.slice/x@1.service/y.scope", "/m/app.slice/app-x.slice/x@1.service"},
    {"/m/user.slice/libpod-1.scope/container", "/m/user.slice/libpod-1.scope"},
    {"/m/app.slice", "/m/app.slice"},
    {"/m/own/web.service", "/m/own"},
    {"/m", "/m"},
};

int wrong_groups() {
  int wrong = 0;
  for (const Group& g : kGroups) wrong += wrong_if(unit_of(g.group, "/m") != g.unit, g.group);
  return wrong +
         wrong_if(is_below("/a/bc", "/a/b") || !is_below("/a/b/c", "/a/b") || !is_below("/a/b", "/a/b"), "below");
}

void test_round(void**) {
  assert_int_equal(wrong_round(), 0);
}
void test_damage(void**) {
  assert_int_equal(wrong_damage(), 0);
}
void test_move_back(void**) {
  assert_int_equal(wrong_move_back(), 0);
}
void test_spool(void**) {
  assert_int_equal(wrong_spool(), 0);
}
void test_groups(void**) {
  assert_int_equal(wrong_groups(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_round), cmocka_unit_test(test_damage), cmocka_unit_test(test_move_back),
      cmocka_unit_test(test_spool), cmocka_unit_test(test_groups),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
