#include "agent/alerts.h"

#include <random>

#include "agent/docket.h"
#include "agent/login_watch.h"
#include "tests/unit/agent/fixture.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

class FakeQueue final : public AlertSink {
 public:
  Status put(const Alert& alert) override {
    if (throws) throw std::bad_alloc();
    if (fault) return *fault;
    got.push_back(alert);
    return Unit{};
  }
  std::string events() const {
    std::string out;
    for (const Alert& a : got) out += (out.empty() ? "" : " ") + a.event;
    return out;
  }
  std::string field(std::size_t i, std::string_view name) const {
    if (i >= got.size()) return "no such alert";
    for (const auto& [n, v] : got[i].fields) {
      if (n == name) return v;
    }
    return "";
  }
  bool throws = false;
  std::optional<Error> fault;
  std::vector<Alert> got;
};

struct Bench {
  explicit Bench(const std::string& memory = "", long long later = 0)
      : clock{kStart + later, 1000 + later},
        journal(
            told, queue, "web-3", [this] { return clock.read(); }, memory) {}
  void event(Event e, EventFields fields = {}) { journal.event(e, std::string(event_info(e).name), fields); }
  FakeClock clock;
  FakeJournal told;
  FakeQueue queue;
  AlertingJournal journal;
};

int wrong_choice() {
  Bench b;
  b.event(Event::session_not_ended, {{"GRANT", "g1"}, {"SUBJECT", "alice"}});
  b.event(Event::login_admitted, {{"GRANT", "g1"}});
  b.event(Event::statement_refused);
  b.event(Event::alerts_not_queued);
  const Alert first = b.queue.got.empty() ? Alert{} : b.queue.got[0];
  return wrong_if(b.told.told.size() != 4, "all stand in the journal") +
         wrong_if(b.queue.events() != "session_not_ended", "who must be woken") +
         wrong_if(first.host != "web-3" || first.priority != 2 || to_unix(first.at) != kStart, "what it says") +
         wrong_if(b.queue.field(0, "SUBJECT") != "alice", "its fields") +
         wrong_if(b.queue.field(0, "LEFT_OUT") != "", "none was left out");
}

int wrong_repetitions() {
  Bench b;
  for (int i = 0; i < 10; ++i) b.event(Event::session_end_late, {{"GRANT", "g1"}});
  b.event(Event::session_end_late, {{"GRANT", "g2"}});
  b.event(Event::session_end_late, {{"ACCOUNT", "g2"}, {"GRANT", ""}});  // an account may be called like a grant
  b.event(Event::visit_not_cleaned, {{"ACCOUNT", "g1"}});
  int wrong = wrong_if(b.queue.got.size() != 3, "one of a kind");
  b.clock.pass(59);
  b.event(Event::session_end_late, {{"GRANT", "g1"}});
  wrong += wrong_if(b.queue.got.size() != 3, "a minute is not over");
  b.clock.pass(1);
  b.event(Event::session_end_late, {{"GRANT", "g1"}});
  wrong += wrong_if(b.queue.got.size() != 4 || b.queue.field(3, "LEFT_OUT") != "10", "the next says how many");
  for (int i = 0; i < 3; ++i) b.event(Event::session_not_ended, {{"GRANT", "g1"}});
  wrong += wrong_if(b.queue.got.size() != 7, "what comes once a minute by itself");
  return wrong + wrong_if(b.journal.counts().left_out != 11 || b.journal.counts().queued != 7, "counted") +
         wrong_if(b.told.told.size() != 18, "all stand in the journal");
}

// The last one of a burst is not lost when nothing follows.
int wrong_last() {
  Bench b;
  for (int i = 1; i <= 3; ++i) b.event(Event::clock_set_back, {{"WHY", std::to_string(i)}});
  b.clock.pass(30);
  b.journal.minute();
  int wrong = wrong_if(b.queue.got.size() != 1, "not yet");
  b.clock.pass(30);
  b.journal.minute();
  b.journal.minute();
  wrong += wrong_if(b.queue.got.size() != 2 || b.queue.field(1, "WHY") != "3", "the last") +
           wrong_if(b.queue.field(1, "LEFT_OUT") != "1", "and how many between") +
           wrong_if(to_unix(b.queue.got.back().at) != kStart, "when it happened");
  b.event(Event::clock_set_back, {{"WHY", "4"}});
  wrong += wrong_if(b.queue.got.size() != 2, "once a minute all the same");
  b.clock.pass(60);
  b.journal.minute();
  b.clock.pass(600);
  b.journal.minute();
  b.event(Event::clock_set_back, {{"WHY", "5"}});
  return wrong + wrong_if(b.queue.got.size() != 4 || b.queue.field(3, "LEFT_OUT") != "", "and afresh");
}

// A flood of one kind does not push out another.
int wrong_flood() {
  Bench b;
  for (int i = 0; i < 5000; ++i) b.event(Event::logins_refused_often, {{"ACCOUNT", "a" + std::to_string(i)}});
  b.event(Event::session_not_ended, {{"GRANT", "g1"}});
  int wrong = wrong_if(b.queue.got.size() != kAlertsAMinute + 1U, "so many a minute") +
              wrong_if(b.queue.got.back().event != "session_not_ended", "the other kind gets through");
  b.clock.pass(60);
  b.journal.minute();
  return wrong + wrong_if(b.queue.got.size() != 2U * kAlertsAMinute + 1, "later, again so many");
}

int wrong_queue_faults() {
  Bench b;
  b.queue.fault = Error{Errc::not_found, "no such directory"};
  for (int i = 0; i < 20; ++i) {
    b.event(Event::session_not_ended, {{"GRANT", "g1"}});
    b.clock.pass(600);
  }
  int wrong = wrong_if(b.told.count(Event::alerts_not_queued) != 1, "a host without a queue: once");
  b.queue.fault.reset();
  b.event(Event::session_not_ended);
  wrong += wrong_if(b.queue.got.size() != 1 || b.journal.counts().lost != 20, "a queue came");
  b.queue.fault = Error{Errc::too_large, "full"};
  for (int i = 0; i < 20; ++i) {
    b.event(Event::session_not_ended, {{"GRANT", "g1"}});
    b.clock.pass(60);
  }
  wrong += wrong_if(b.told.count(Event::alerts_not_queued) != 3, "a full queue: now and then");
  std::string count;
  for (const Told& t : b.told.told) {
    if (t.event == Event::alerts_not_queued) count = t.fields.at(1).second;
  }
  wrong += wrong_if(count != "10", "how many were lost");
  b.queue.throws = true;
  b.event(Event::session_not_ended);
  return wrong + wrong_if(b.journal.counts().lost != 41, "nothing is thrown");
}

// An agent that is started again and again.
int wrong_restarts() {
  const TempDir dir;
  const std::string memory = dir.path() + "/told";
  int queued = 0, wrong = 0;
  for (int i = 0; i < 60; ++i) {
    Bench b(memory, i * 2);
    b.event(Event::config_refused, {{"FILE", "a file\nwith lines"}});
    b.event(Event::ledger_damaged);
    queued += static_cast<int>(b.queue.got.size());
  }
  wrong += wrong_if(queued != 4, "each once a minute, over two minutes");
  for (const char* damage : {"", "x", "1 x y\n", "99999999999999999999 ledger_damaged \n", "-5 ledger_damaged \n",
                             "5000000 ledger_damaged \n", "10 nonsense \n", "\n\n\n"}) {
    write_text(memory, damage);
    Bench b(memory);
    b.event(Event::ledger_damaged);
    wrong += wrong_if(b.queue.got.size() != 1, damage);
  }
  return wrong;
}

// --- what modules tell

std::string login(Event e, std::string_view account, std::string_view subject = "", std::string_view grant = "") {
  EventRecord record(e, "message");
  record.with("ACCOUNT", account).with("SUBJECT", subject).with("GRANT", grant).with("RHOST", "10.0.0.7");
  return record.datagram();
}

int wrong_reading() {
  EventRecord record(Event::login_admitted, "alice\nlogged in");
  record.with("ACCOUNT", "alice").with("REASON", "two\nHALLPASS_EVENT=sudo_allowed\nlines").with("APPROVERS", "a");
  record.with("APPROVERS", "b").with("COMMAND", std::string(5000, 'x'));
  const auto read = read_module_event(record.datagram());
  if (!read) return wrong_if(true, "ours");
  return wrong_if(read->event != Event::login_admitted || read->message != "alice\nlogged in", "event") +
         wrong_if(read->field("REASON") != "two\nHALLPASS_EVENT=sudo_allowed\nlines", "what a person typed") +
         wrong_if(read->field("ACCOUNT") != "alice" || read->field("GRANT") != "", "fields") +
         wrong_if(read->field("COMMAND").size() != kMaxModuleValue, "cut") + wrong_if(read->fields.size() != 5, "all");
}

int wrong_refusing() {
  const std::string eight("\x03\0\0\0\0\0\0\0", 8);
  struct Case {
    const char* name;
    std::string datagram;
  };
  const Case cases[] = {
      {"nothing", ""},
      {"no event", "MESSAGE=x\n"},
      {"an unknown event", "HALLPASS_EVENT=nonsense\n"},
      {"two events", "HALLPASS_EVENT=login_refused\nHALLPASS_EVENT=login_refused\n"},
      {"no line end", "HALLPASS_EVENT=login_refused"},
      {"no name", "HALLPASS_EVENT=login_refused\n=x\n"},
      {"an empty line", "HALLPASS_EVENT=login_refused\n\n"},
      {"a lower-case name", "HALLPASS_EVENT=login_refused\nname=x\n"},
      {"a length cut short", "HALLPASS_EVENT=login_refused\nX\n\x03\0"},
      {"a length beyond the end", "HALLPASS_EVENT=login_refused\nX\n" + eight + "ab\n"},
      {"no line end after a value", "HALLPASS_EVENT=login_refused\nX\n" + eight + "abcd"},
      {"a length that wraps around", "HALLPASS_EVENT=login_refused\nX\n" + std::string(8, '\xff') + "ab\n"},
      {"zero bytes", std::string(100, '\0')},
  };
  int wrong = wrong_if(!read_module_event("HALLPASS_EVENT=login_refused\nX\n" + eight + "abc\n"), "good");
  for (const Case& c : cases) wrong += wrong_if(read_module_event(c.datagram).has_value(), c.name);
  std::string many = "HALLPASS_EVENT=login_refused\n";
  for (int i = 0; i < 1000; ++i) many += "HALLPASS_X=y\n";
  const auto read = read_module_event(many);
  return wrong + wrong_if(!read || read->fields.size() != kMaxModuleFields, "no more fields than so many");
}

struct Watch : Bench {
  explicit Watch(int threshold = 10)
      : watch(journal, threshold,
              {[this] { return clock.read(); },
               [this](std::string_view subject, std::string_view account) -> std::optional<std::string> {
                 asked += std::string(subject) + "@" + std::string(account) + " ";
                 if (subject == "nora") return "night-0000-0000";
                 return std::nullopt;
               },
               [](std::string_view grant) { return grant.substr(0, 5) == "glass"; }}) {}
  void refuse(int times, std::string_view account = "deploy") {
    for (int i = 0; i < times; ++i) watch.take(login(Event::login_refused, account));
  }
  std::string asked;
  LoginWatch watch;
};

int wrong_often() {
  Watch w;
  w.refuse(9);
  int wrong = wrong_if(w.told.count(Event::logins_refused_often) != 0, "not yet");
  w.refuse(5, "other");
  w.refuse(1);
  wrong += wrong_if(w.told.count(Event::logins_refused_often) != 1, "at the threshold") +
           wrong_if(w.queue.field(0, "ACCOUNT") != "deploy" || w.queue.field(0, "COUNT") != "10", "which account") +
           wrong_if(w.queue.field(0, "RHOST") != "10.0.0.7", "from where");
  w.refuse(100);
  w.clock.pass(599);
  w.refuse(100);
  wrong += wrong_if(w.told.count(Event::logins_refused_often) != 1, "not again at once");
  w.clock.pass(1);
  w.refuse(1);
  wrong += wrong_if(w.told.count(Event::logins_refused_often) != 2, "after ten minutes");
  return wrong + wrong_if(w.watch.counts().at("login_refused") != 9 + 5 + 1 + 100 + 100 + 1, "counted");
}

int wrong_window() {
  Watch w;
  for (int i = 0; i < 200; ++i) {  // nine within any ten minutes
    w.refuse(1);
    w.clock.pass(70);
  }
  int wrong = wrong_if(w.told.count(Event::logins_refused_often) != 0, "slowly");
  for (int i = 0; i < 20; ++i) {
    w.refuse(1);
    w.clock.pass(50);
  }
  wrong += wrong_if(w.told.count(Event::logins_refused_often) != 2, "a bit faster, for a quarter of an hour");
  Watch pause;
  pause.refuse(9);
  pause.clock.pass(1'000'000);
  pause.refuse(9);
  wrong += wrong_if(pause.told.count(Event::logins_refused_often) != 0, "after a long pause");
  Watch never(0);
  never.refuse(1000);
  Watch always(1);
  always.refuse(1);
  return wrong + wrong_if(never.told.count(Event::logins_refused_often) != 0, "0: never") +
         wrong_if(always.told.count(Event::logins_refused_often) != 1, "1: each");
}

int wrong_memory() {
  Watch w;
  w.refuse(9, "1st");
  for (int i = 0; i < 900; ++i) w.refuse(1, "a" + std::to_string(i));
  w.refuse(1, "1st");
  int wrong = wrong_if(w.told.count(Event::logins_refused_often) != 1, "not forgotten for others");
  w.clock.pass(10);
  for (int i = 0; i < 5000; ++i) w.refuse(1, "b" + std::to_string(i));
  w.refuse(10, std::string(1000, 'x'));
  return wrong + wrong_if(w.told.count(Event::logins_refused_often) != 2, "goes on");
}

int wrong_hours() {
  Watch w;
  w.watch.take(login(Event::login_refused, "nora", "nora"));
  w.watch.take(login(Event::login_refused, "nora", "nora"));
  w.watch.take(login(Event::login_refused, "alice", "alice"));
  w.watch.take(login(Event::login_refused, "deploy"));
  w.watch.take(login(Event::login_would_refuse, "nora", "nora"));
  int wrong =
      wrong_if(w.asked != "nora@nora nora@nora alice@alice ", "asked for refused logins of a subject") +
      wrong_if(w.told.count(Event::login_outside_hours) != 1, "once") +
      wrong_if(w.queue.field(0, "GRANT") != "night-0000-0000" || w.queue.field(0, "SUBJECT") != "nora", "which");
  w.clock.pass(600);
  w.watch.take(login(Event::login_refused, "nora", "nora"));
  return wrong + wrong_if(w.told.count(Event::login_outside_hours) != 2, "again after ten minutes");
}

int wrong_glass() {
  Watch w;
  EventRecord sudo(Event::sudo_allowed, "m"), other(Event::sudo_allowed, "m");
  sudo.with("GRANT", "glass").with("SUBJECT", "alice").with("SESSION", "7").with("ACCOUNT", "alice");
  other.with("GRANT", "glass").with("SUBJECT", "alice").with("SESSION", "8").with("ACCOUNT", "alice");
  w.watch.take(login(Event::login_admitted, "alice", "alice", "plain"));
  w.watch.take(login(Event::login_refused, "alice", "alice", "glass"));
  int wrong = wrong_if(w.told.count(Event::alert_grant_used) != 0, "only those, and only used");
  w.watch.take(login(Event::login_admitted, "alice", "alice", "glass"));
  w.watch.take(login(Event::login_admitted, "alice", "alice", "glass"));
  w.watch.take(sudo.datagram());
  w.watch.take(sudo.datagram());
  wrong += wrong_if(w.told.count(Event::alert_grant_used) != 2, "the login, and sudo in its session");
  w.watch.take(other.datagram());
  return wrong + wrong_if(w.told.count(Event::alert_grant_used) != 3, "sudo in another session") +
         wrong_if(w.queue.field(0, "GRANT") != "glass" || w.queue.field(0, "SUBJECT") != "alice", "what it says");
}

// What a module has told itself is queued, and not written into the journal again.
int wrong_passed_on() {
  Watch w;
  EventRecord record(Event::snapshot_unusable, "the store is damaged");
  w.watch.take(record.with("ACCOUNT", "alice").with("WHY", "checksum").datagram());
  w.watch.take(login(Event::login_exempt, "rescue"));
  w.watch.take(login(Event::login_exempt, "hallpass-drop"));  // hands grants in, which is nothing to wake anybody for
  return wrong_if(!w.told.told.empty(), "the journal has it") +
         wrong_if(w.queue.events() != "snapshot_unusable login_exempt", "queued") +
         wrong_if(w.queue.field(0, "WHY") != "checksum" || w.queue.got[0].message != "the store is damaged", "whole");
}

// Bytes by chance, and good datagrams with some of them changed: no fault, and nothing without bounds.
int wrong_random() {
  std::mt19937 chance(20261121);
  Watch w;
  const std::string good = login(Event::login_refused, "deploy", "nora", "glass");
  for (int i = 0; i < 30000; ++i) {
    std::string d = good;
    if (i % 3 == 0) {
      d.assign(chance() % 300, '\0');
      for (char& c : d) c = static_cast<char>(chance());
    } else {
      for (auto n = chance() % 6; n > 0; --n) d[chance() % d.size()] = static_cast<char>(chance());
      if (chance() % 3 == 0) d.resize(chance() % (d.size() + 1));
      if (chance() % 5 == 0) d.insert(chance() % (d.size() + 1), std::string("\n\x09\0\0\0\0\0\0\0", 9));
    }
    w.watch.take(d);
  }
  return wrong_if(w.watch.counts().size() > all_events().size(), "only events of ours") +
         wrong_if(w.told.told.size() > 2000, "no flood");
}

int wrong_docket() {
  Docket docket;
  const auto add = [&](char digit, const char* account, Step step, long long at) {
    Verdict v;
    v.grant.request = parse_digest(("sha256:" + std::string(64, digit)).c_str()).value();
    v.grant.known = true;
    v.grant.subject = "nora";
    v.grant.account = account;
    v.grant.step = step;
    v.grant.requested_at = from_unix(at);
    docket.apply(std::move(v));
    return grant_id(parse_digest(("sha256:" + std::string(64, digit)).c_str()).value());
  };
  add('1', "nora", Step::hours, kStart - 500);
  const std::string newest = add('2', "nora", Step::hours, kStart - 100);
  add('3', "nora", Step::gates, kStart);
  const std::string other = add('4', "deploy", Step::hours, kStart);
  add('5', "old", Step::hours, kStart - 90000);
  const UnixTime now = from_unix(kStart);
  Admission a;
  a.id = "k7m3";
  docket.content().admissions.push_back(a);
  a.id = "x9f2";
  a.alert = true;
  docket.content().admissions.push_back(a);
  return wrong_if(request_outside_hours(docket, "nora", "nora", now) != newest, "the newest") +
         wrong_if(request_outside_hours(docket, "nora", "deploy", now) != other, "of that account") +
         wrong_if(request_outside_hours(docket, "nora", "old", now).has_value(), "not of last week") +
         wrong_if(request_outside_hours(docket, "alice", "nora", now).has_value(), "nobody else's") +
         wrong_if(!grant_alerts(docket, "x9f2") || grant_alerts(docket, "k7m3") || grant_alerts(docket, ""), "alerts");
}

void test_queueing(void**) {
  assert_int_equal(wrong_choice() + wrong_queue_faults(), 0);
}
void test_repetitions(void**) {
  assert_int_equal(wrong_repetitions() + wrong_last() + wrong_flood() + wrong_restarts(), 0);
}
void test_reading(void**) {
  assert_int_equal(wrong_reading() + wrong_refusing() + wrong_random(), 0);
}
void test_refused(void**) {
  assert_int_equal(wrong_often() + wrong_window() + wrong_memory(), 0);
}
void test_watch(void**) {
  assert_int_equal(wrong_hours() + wrong_glass() + wrong_passed_on() + wrong_docket(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_queueing), cmocka_unit_test(test_repetitions),
                              cmocka_unit_test(test_reading), cmocka_unit_test(test_refused),
                              cmocka_unit_test(test_watch)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
