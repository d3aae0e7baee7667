#include "notify/courier.h"

#include <vector>

#include "notify/smtp.h"
#include "notify/webhook.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)
using Kind = Outcome::Kind;
using Next = Courier::Next;

struct Told {
  int priority;
  std::string text;
};

// A courier whose time is moved by hand.
struct Bench {
  explicit Bench(Seconds longest = Seconds{300}, double luck = 0.0, Seconds reject_after = Seconds{3600})
      : courier({"webhook https://a", longest, reject_after, [luck] { return luck; },
                 [this](int priority, std::string text) {
                   told.push_back({priority, std::move(text)});
                 }}) {}
  Next ended(Kind kind, std::optional<Seconds> not_yet = std::nullopt) {
    const Next next = courier.ended({kind, kind == Kind::delivered ? "" : "it answers 500", not_yet}, now, 2);
    pause = std::chrono::duration_cast<std::chrono::milliseconds>(courier.not_before() - now).count();
    now = courier.not_before();
    return next;
  }
  std::vector<Told> told;
  Courier courier;
  Moment now{Seconds{1000}};
  long long pause = 0;
};

int wrong_backoff() {
  int wrong = 0;
  Bench unlucky, lucky(Seconds{300}, 0.999), brief(Seconds{1});
  for (const long long expected :
       {1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000, 300000}) {
    wrong +=
        wrong_if(unlucky.ended(Kind::failed) != Next::retry || unlucky.pause != expected, "doubled up to the longest");
    lucky.ended(Kind::failed);
    wrong += wrong_if(lucky.pause < expected / 2 || lucky.pause > expected / 2 + 200, "at least half of it");
    brief.ended(Kind::failed);
    wrong += wrong_if(brief.pause != 1000, "the longest is short");
  }
  for (int i = 0; i < 5000; ++i) unlucky.ended(Kind::failed);
  wrong += wrong_if(unlucky.pause != 300000, "never more");
  wrong += wrong_if(unlucky.ended(Kind::delivered) != Next::done || unlucky.pause != 0, "at once after a delivery");
  unlucky.ended(Kind::failed);
  return wrong + wrong_if(unlucky.pause != 1000, "from the beginning");
}

int wrong_asked_to_wait() {
  Bench b;
  b.ended(Kind::failed, Seconds{40});
  int wrong = wrong_if(b.pause != 40000, "as the receiver asks");
  b.ended(Kind::failed, Seconds{1});
  wrong += wrong_if(b.pause != 2000, "not less than else");
  b.ended(Kind::failed, Seconds{1'000'000'000});
  return wrong + wrong_if(b.pause != 300000, "not more than the longest");
}

int wrong_words() {
  Bench b;
  for (int i = 0; i < 50; ++i) b.ended(Kind::failed);  // about 3 hours and 40 minutes
  int wrong = wrong_if(b.told.size() != 4, "once, and each hour") + wrong_if(b.told[0].priority != 4, "a warning") +
              wrong_if(b.told[1].priority != 3, "then an error") +
              wrong_if(b.told[0].text.find("3 alerts wait") == std::string::npos, "how many");
  b.ended(Kind::delivered);
  b.ended(Kind::delivered);
  return wrong + wrong_if(b.told.size() != 5 || b.told[4].priority != 5, "well again, once") +
         wrong_if(b.told[4].text.find("takes alerts again, after 3h") == std::string::npos, "for how long");
}

int wrong_refused() {
  Bench b;
  int tries = 1;
  const Moment start = b.now;
  while (b.ended(Kind::refused) == Next::retry) ++tries;
  int wrong = wrong_if(tries < kRefusedTries || b.now - start < Seconds{3600}, "tried often and long enough") +
              wrong_if(b.now - start > Seconds{3900}, "not for longer") +
              wrong_if(b.pause != 0, "the next one at once") +
              wrong_if(b.told.back().text.find("rejected/") == std::string::npos, "told");
  // One that fails otherwise is kept for good.
  Bench c;
  for (int i = 0; i < 1000; ++i) wrong += wrong_if(c.ended(Kind::failed) != Next::retry, "kept");
  // With a short retry it is not the number of tries alone.
  Bench d(Seconds{1});
  for (int i = 0; i < 3599; ++i) wrong += wrong_if(d.ended(Kind::refused) != Next::retry, "for the whole time");
  // With a short time it is not the time alone.
  Bench e(Seconds{300}, 0.0, Seconds{1});
  for (int i = 1; i < kRefusedTries; ++i) wrong += wrong_if(e.ended(Kind::refused) != Next::retry, "so many tries");
  return wrong + wrong_if(e.ended(Kind::refused) != Next::reject, "and then no more");
}

struct StatusCase {
  long status;
  Kind kind;
};

int wrong_statuses() {
  const StatusCase cases[] = {
      {200, Kind::delivered}, {201, Kind::delivered}, {204, Kind::delivered}, {299, Kind::delivered},
      {100, Kind::failed},    {0, Kind::failed},      {301, Kind::failed},    {307, Kind::failed},
      {304, Kind::failed},    {400, Kind::refused},   {413, Kind::refused},   {422, Kind::refused},
      {410, Kind::refused},   {401, Kind::failed},    {403, Kind::failed},    {404, Kind::failed},
      {408, Kind::failed},    {425, Kind::failed},    {429, Kind::failed},    {500, Kind::failed},
      {503, Kind::failed},    {999, Kind::failed}};
  int wrong = 0;
  for (const StatusCase& c : cases) {
    const Outcome o = outcome_of_status(c.status, "no\x1b[31m");
    wrong += wrong_if(o.kind != c.kind, std::to_string(c.status).c_str());
    wrong += wrong_if(o.why.find('\x1b') != std::string::npos, "printable");
  }
  return wrong;
}

struct MailCase {
  const char* name;
  CURLcode code;
  long answer;
  Kind kind;
};

int wrong_mail_answers() {
  const MailCase cases[] = {{"taken", CURLE_OK, 250, Kind::delivered},
                            {"no such mailbox", CURLE_SEND_ERROR, 550, Kind::refused},
                            {"what was in it", CURLE_WEIRD_SERVER_REPLY, 554, Kind::refused},
                            {"greylisted", CURLE_SEND_ERROR, 450, Kind::failed},
                            {"busy", CURLE_RECV_ERROR, 421, Kind::failed},
                            {"our password", CURLE_LOGIN_DENIED, 535, Kind::failed},
                            {"nobody logged in", CURLE_SEND_ERROR, 530, Kind::failed},
                            {"no STARTTLS", CURLE_USE_SSL_FAILED, 500, Kind::failed},
                            {"nobody there", CURLE_COULDNT_CONNECT, 0, Kind::failed},
                            {"broken off", CURLE_RECV_ERROR, 354, Kind::failed},
                            {"too slow", CURLE_OPERATION_TIMEDOUT, 550, Kind::failed}};
  int wrong = 0;
  for (const MailCase& c : cases) {
    const Outcome o = outcome_of_mail(c.code, c.answer, "no\x1b[31m");
    wrong += wrong_if(o.kind != c.kind || o.why.find('\x1b') != std::string::npos, c.name);
  }
  return wrong;
}

void test_backoff(void**) {
  assert_int_equal(wrong_backoff() + wrong_asked_to_wait(), 0);
}
void test_words(void**) {
  assert_int_equal(wrong_words(), 0);
}
void test_refused(void**) {
  assert_int_equal(wrong_refused(), 0);
}
void test_statuses(void**) {
  assert_int_equal(wrong_statuses() + wrong_mail_answers(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_backoff), cmocka_unit_test(test_words),
                              cmocka_unit_test(test_refused), cmocka_unit_test(test_statuses)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
