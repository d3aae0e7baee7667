#include "host/key_record.h"

#include <sys/wait.h>

#include "tests/unit/host/snapshot_fixture.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)

int wrong_round_trip() {
  const ScratchDir dir;
  const std::string offers = dir / "run/offers";
  const pid_t self = getpid();
  int wrong = wrong_if(read_key_record(offers, self, "alice").has_value(), "none yet");
  wrong += wrong_if(!write_key_record(offers, self, "alice", kAlicePrint), "writing, directories and all");
  wrong += wrong_if(read_key_record(offers, self, "alice") != kAlicePrint, "reading");
  wrong += wrong_if(read_key_record(offers, self, "alic").has_value(), "another account");
  wrong += wrong_if(read_key_record(offers, 1, "alice").has_value(), "another process");
  wrong += wrong_if(
      !write_key_record(offers, self, "alice", kBobPrint) || read_key_record(offers, self, "alice") != kBobPrint,
      "the last counts");
  struct stat st {};
  wrong +=
      wrong_if(stat((offers + "/" + std::to_string(self)).c_str(), &st) != 0 || (st.st_mode & 0777) != 0600, "0600");
  wrong += wrong_if(stat(offers.c_str(), &st) != 0 || (st.st_mode & 0777) != 0700, "0700");
  remove_key_record(offers, self);
  return wrong + wrong_if(read_key_record(offers, self, "alice").has_value(), "removed");
}

struct Bad {
  const char* name;
  std::string text;
};

int wrong_bad_records() {
  const ScratchDir dir;
  const std::string path = dir / std::to_string(getpid()), start = process_start(getpid());
  const Bad cases[] = {
      {"empty", ""},
      {"another version", "2 " + start + " alice fp\n"},
      {"an earlier process with this pid", "1 12345 alice fp\n"},
      {"cut short", "1 " + start + " alice fp"},
      {"two lines", "1 " + start + " alice fp\nfp2\n"},
      {"another account", "1 " + start + " bob fp\n"},
  };
  int wrong = 0;
  for (const auto& c : cases) {
    write_text(path, c.text);
    chmod(path.c_str(), 0600);
    wrong += wrong_if(read_key_record(dir / "", getpid(), "alice").has_value(), c.name);
  }
  write_text(path, "1 " + start + " alice fp\n");
  wrong += wrong_if(!read_key_record(dir / "", getpid(), "alice"), "a good one");
  chmod(path.c_str(), 0640);
  wrong += wrong_if(read_key_record(dir / "", getpid(), "alice").has_value(), "one that others may read");
  std::filesystem::rename(path, path + ".real");
  chmod((path + ".real").c_str(), 0600);
  std::filesystem::create_symlink(path + ".real", path);
  return wrong + wrong_if(read_key_record(dir / "", getpid(), "alice").has_value(), "a link");
}

int wrong_pruning() {
  const ScratchDir dir;
  const std::string offers = dir / "offers";
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  int wrong = wrong_if(!write_key_record(offers, getpid(), "alice", kAlicePrint), "writing");
  write_text(offers + "/" + std::to_string(child), "1 1 alice x\n");
  wrong += wrong_if(!write_key_record(offers, getpid(), "alice", kAlicePrint), "writing again");
  wrong += wrong_if(std::filesystem::exists(offers + "/" + std::to_string(child)), "what a dead process left");
  wrong += wrong_if(!read_key_record(offers, getpid(), "alice"), "the living one's stays");
  wrong += wrong_if(write_key_record(offers, child, "alice", kAlicePrint).has_value(), "no such process");
  chmod(offers.c_str(), 0755);
  return wrong +
         wrong_if(write_key_record(offers, getpid(), "alice", kAlicePrint).has_value(), "a directory open to others");
}

void test_round_trip(void**) {
  assert_int_equal(wrong_round_trip(), 0);
}
void test_bad_records(void**) {
  assert_int_equal(wrong_bad_records(), 0);
}
void test_pruning(void**) {
  assert_int_equal(wrong_pruning(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_bad_records),
                              cmocka_unit_test(test_pruning)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
