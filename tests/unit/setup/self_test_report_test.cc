#include "agent/setup/self_test_report.h"

#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

const Trial kPassed{"a login\nwith \"marks\"", true, false, "told: \xc3\xa4\n  more", 0.25};
const Trial kFailed{"another", false, false, "why", 1};
const Trial kSkipped{"third", false, true, "not installed", 0};

bool same(const Trial& a, const Trial& b) {
  return a.name == b.name && a.passed == b.passed && a.skipped == b.skipped && a.detail == b.detail &&
         a.seconds == b.seconds;
}

// What was said on a pipe, as bytes.
std::string said(const std::function<void(int fd)>& say) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  say(ends[1]);
  close(ends[1]);
  std::string text(65536, '\0');
  const ssize_t got = read(ends[0], text.data(), text.size());
  close(ends[0]);
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return text;
}

int wrong_whole() {
  const std::string text = said([](int fd) {
    for (const Trial& trial : {kPassed, kFailed, kSkipped}) report_trial(fd, trial);
    report_done(fd);
    report_end(fd);
  });
  int wrong = 0;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, text.size()}) {
    int told = 0;
    ReportReader reader([&](const Trial&) { ++told; });
    for (std::size_t at = 0; at < text.size(); at += piece) reader.take(std::string_view(text).substr(at, piece));
    const auto trials = reader.finish();
    wrong += wrong_if(!trials || trials->size() != 3 || told != 3, "all trials");
    wrong += wrong_if(!trials || trials->size() != 3 || !same((*trials)[0], kPassed) || !same((*trials)[1], kFailed) ||
                          !same((*trials)[2], kSkipped),
                      "as they were told");
  }
  return wrong;
}

struct Case {
  const char* name;
  std::function<void(int)> say;
  const char* words;  // of the error
};

// Never a pass: what is cut off looks like trials that all passed.
int wrong_parts() {
  const Case cases[] = {
      {"nothing", [](int) {}, "ended from outside"},
      {"trials, and no end",
       [](int fd) {
         report_trial(fd, kPassed);
         report_done(fd);
       },
       "ended from outside"},
      {"an end before all trials",
       [](int fd) {
         report_trial(fd, kPassed);
         report_end(fd);
       },
       "did not end in time"},
      {"a fault",
       [](int fd) {
         report_fault(fd, "no useradd");
         report_end(fd);
       },
       "no useradd"},
      {"a fault after all trials",
       [](int fd) {
         report_trial(fd, kPassed);
         report_done(fd);
         report_fault(fd, "something is left");
         report_fault(fd, "and more");
         report_end(fd);
       },
       "something is left"},
      {"no JSON",
       [](int fd) {
         if (write(fd, "x\n", 2) != 2) std::abort();
         report_done(fd);
         report_end(fd);
       },
       "cannot be read"},
  };
  int wrong = 0;
  for (const Case& c : cases) {
    ReportReader reader(nullptr);
    reader.take(said(c.say));
    const auto trials = reader.finish();
    wrong += wrong_if(trials || trials.error().message.find(c.words) == std::string::npos, c.name);
  }
  return wrong;
}

void test_whole(void**) {
  assert_int_equal(wrong_whole(), 0);
}
void test_parts(void**) {
  assert_int_equal(wrong_parts(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_whole), cmocka_unit_test(test_parts)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
