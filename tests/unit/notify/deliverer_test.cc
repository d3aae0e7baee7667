#include "notify/deliverer.h"

#include <random>
#include <set>

#include "notify/command.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/notify/fixture.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)
using Kind = Outcome::Kind;

class FakeReceiver final : public Receiver {
 public:
  Status begin(const QueuedDocument& alert, Moment) override {
    if (cannot_begin) return Error{Errc::unavailable, "no memory"};
    current = alert.head;
    ++tries;
    return Unit{};
  }
  std::optional<Outcome> outcome(Moment) override {
    if (hangs) return std::nullopt;
    if (answer == Kind::delivered) got.push_back(current.event + "/" + current.id);
    return Outcome{answer, answer == Kind::delivered ? "" : "no", std::nullopt};
  }
  Moment look_again() const override { return {}; }
  std::string events() const {
    std::string out;
    for (const std::string& g : got) out += (out.empty() ? "" : " ") + g.substr(0, g.find('/'));
    return out;
  }
  bool distinct() const { return std::set<std::string>(got.begin(), got.end()).size() == got.size(); }
  bool cannot_begin = false, hangs = false;
  int tries = 0;
  Kind answer = Kind::delivered;
  DocumentHead current;
  std::vector<std::string> got;
};

// A queue, and a program that delivers from it; restart() is a crash of that program.
struct Bench {
  explicit Bench(std::vector<std::string> names)
      : receivers(std::move(names)), writer(dir.queue(), dir.counter(), [] { return std::uint64_t{1000}; }) {
    restart();
  }
  void restart() {
    deliverer.reset();
    Result<Spool> opened = Spool::open(dir.queue(), receivers);
    must(opened.has_value());
    spool = std::make_unique<Spool>(std::move(*opened));
    std::vector<Deliverer::Lane> lanes;
    for (const std::string& name : receivers) {
      lanes.push_back(
          {name, &fakes[name],
           Courier({name, Seconds{300}, Seconds{3600}, [] { return 0.0; }, [](int, const std::string&) {}})});
    }
    deliverer = std::make_unique<Deliverer>(*spool, std::move(lanes),
                                            [this](int, std::string text) { told.push_back(std::move(text)); });
    look();
  }
  void look() { must(spool->refresh(from_unix(1'800'000'000)).has_value()); }
  void put(const std::string& event) {
    must(writer.put(alert_of(event)).has_value());
    look();
  }
  void run(int seconds) {
    for (int i = 0; i < seconds * 4; ++i) {
      deliverer->step(now);
      now += std::chrono::milliseconds(250);
    }
  }
  TempDir dir;
  std::vector<std::string> receivers, told;
  AlertQueue writer;
  std::map<std::string, FakeReceiver> fakes;
  std::unique_ptr<Spool> spool;
  std::unique_ptr<Deliverer> deliverer;
  Moment now{Seconds{1000}};
};

int wrong_order() {
  Bench b({"webhook"});
  FakeReceiver& r = b.fakes["webhook"];
  b.put("e0");
  b.put("e1");
  b.run(2);
  r.answer = Kind::failed;
  b.put("e2");
  b.run(600);
  int wrong = wrong_if(r.events() != "e0 e1", "not while it fails") + wrong_if(r.tries > 2 + 11, "seldom in the end");
  b.put("e3");
  b.restart();
  b.run(10);
  r.answer = Kind::delivered;
  b.run(310);
  wrong += wrong_if(r.events() != "e0 e1 e2 e3" || !r.distinct(), "in order, each once");
  return wrong + wrong_if(!names_in(b.dir.queue()).empty() || b.deliverer->busy(), "nothing is left") +
         wrong_if(b.deliverer->next_step(b.now) < b.now + Seconds{30}, "and it sleeps");
}

int wrong_two() {
  Bench b({"webhook", "command"});
  FakeReceiver &w = b.fakes["webhook"], &c = b.fakes["command"];
  w.hangs = true;
  for (const char* e : {"e0", "e1", "e2"}) b.put(e);
  b.run(5);
  int wrong = wrong_if(c.events() != "e0 e1 e2", "the command does not wait") + wrong_if(!w.got.empty(), "it hangs");
  b.restart();
  w.hangs = false;
  b.run(5);
  return wrong + wrong_if(w.events() != "e0 e1 e2" || !w.distinct(), "then the webhook") +
         wrong_if(c.events() != "e0 e1 e2", "the command gets none again") +
         wrong_if(!names_in(b.dir.queue()).empty(), "nothing is left");
}

// What was taken is not given again while the disk does not let it be written down.
int wrong_unwritable() {
  Bench b({"webhook"});
  b.put("e0");
  b.put("e1");
  const std::string first = b.dir.queue() + "/0000000000001000.json";
  unlink(first.c_str());
  must(mkdir(first.c_str(), 0700) == 0);  // what unlink(2) refuses
  rename((b.dir.queue() + "/0000000000001001.json").c_str(), (b.dir.path() + "/kept").c_str());
  b.restart();
  b.run(1);
  int wrong = wrong_if(b.told.size() != 1 || b.told[0].find("no alert") == std::string::npos, "set aside, told");
  rename((b.dir.path() + "/kept").c_str(), (b.dir.queue() + "/0000000000001001.json").c_str());
  b.fakes["webhook"].hangs = true;
  b.look();
  b.run(1);
  unlink((b.dir.queue() + "/0000000000001001.json").c_str());
  must(mkdir((b.dir.queue() + "/0000000000001001.json").c_str(), 0700) == 0);
  b.fakes["webhook"].hangs = false;
  b.run(20);
  wrong += wrong_if(b.fakes["webhook"].events() != "e1", "once") + wrong_if(b.told.size() != 2, "told once") +
           wrong_if(!b.deliverer->busy(), "still to be written down");
  must(rmdir((b.dir.queue() + "/0000000000001001.json").c_str()) == 0);
  b.run(2);
  return wrong + wrong_if(b.deliverer->busy() || b.fakes["webhook"].events() != "e1", "in the end");
}

int wrong_poison() {
  Bench b({"webhook"});
  FakeReceiver& r = b.fakes["webhook"];
  r.answer = Kind::refused;
  b.put("e0");
  b.put("e1");
  b.run(3500);
  int wrong = wrong_if(names_in(b.dir.queue()).size() != 2, "not before its time");
  b.run(500);
  r.answer = Kind::delivered;
  b.run(310);
  wrong += wrong_if(r.events() != "e1", "the others arrive");
  return wrong + wrong_if(names_in(b.dir.queue() + "/rejected").size() != 1, "it is kept");
}

int wrong_beginning() {
  Bench b({"command"});
  b.fakes["command"].cannot_begin = true;
  b.put("e0");
  b.run(5);
  b.fakes["command"].cannot_begin = false;
  b.deliverer->step(b.now, true);
  int wrong = wrong_if(b.deliverer->busy(), "nothing begins while it ends");
  b.run(10);
  return wrong + wrong_if(b.fakes["command"].events() != "e0", "tried again");
}

// Answers by chance, crashes of the program at random moments: in order, complete, nothing twice.
int wrong_random() {
  std::mt19937 chance(20261121);
  int wrong = 0;
  for (int round = 0; round < 20; ++round) {
    Bench b({"webhook", "command"});
    std::string expected;
    for (int i = 0; i < 40; ++i) {
      const std::string event = "e" + std::to_string(i);
      expected += (expected.empty() ? "" : " ") + event;
      b.put(event);
      for (auto& [name, fake] : b.fakes) {
        fake.answer = chance() % 3 == 0 ? Kind::failed : Kind::delivered;
        fake.hangs = chance() % 4 == 0;
      }
      b.run(static_cast<int>(chance() % 3));
      if (chance() % 5 == 0) b.restart();
    }
    for (auto& [name, fake] : b.fakes) {
      fake.answer = Kind::delivered;
      fake.hangs = false;
    }
    b.run(320);
    for (const auto& [name, fake] : b.fakes) wrong += wrong_if(fake.events() != expected || !fake.distinct(), "all");
    wrong += wrong_if(!names_in(b.dir.queue()).empty(), "nothing is left");
  }
  return wrong;
}

struct CommandCase {
  const char* name;
  const char* script;
  Kind kind;
  const char* why;
};

std::optional<Outcome> run_command(std::vector<std::string> argv, const QueuedDocument& alert) {
  Command command(std::move(argv), Seconds{1});
  if (const Status begun = command.begin(alert, std::chrono::steady_clock::now()); !begun) return std::nullopt;
  for (int i = 0; i < 1000; ++i) {
    if (auto outcome = command.outcome(std::chrono::steady_clock::now())) return outcome;
    usleep(10'000);
  }
  return std::nullopt;
}

int wrong_commands() {
  const TempDir dir;
  const std::string out = dir.path() + "/out";
  const QueuedDocument alert{1, {std::string(32, 'a'), "zone_missing"}, "{\"the\":\"alert\"}"};
  const CommandCase cases[] = {
      {"takes it", "cat > $0; echo $HALLPASS_ALERT_ID $HALLPASS_ALERT_EVENT >> $0", Kind::delivered, ""},
      {"does not read it", "exit 0", Kind::delivered, ""},
      {"fails", "exit 3", Kind::failed, "status 3"},
      {"refuses it", "exit 65", Kind::refused, "status 65"},
      {"dies", "kill -TERM $$", Kind::failed, "signal 15"},
      {"hangs, and ignores signals", "trap '' TERM HUP INT; sleep 60 & wait; sleep 60", Kind::failed, "within 1s"}};
  int wrong = 0;
  for (const CommandCase& c : cases) {
    const auto outcome = run_command({"/bin/sh", "-c", c.script, out}, alert);
    wrong += wrong_if(!outcome || outcome->kind != c.kind, c.name);
    wrong += wrong_if(outcome && outcome->why.find(c.why) == std::string::npos, c.name);
  }
  wrong += wrong_if(read_text(out) != alert.json + alert.head.id + " zone_missing\n", "what it gets");
  const int open_to_children = dup(0);
  run_command({"/bin/sh", "-c", "ls /proc/self/fd > $0", out}, alert);
  close(open_to_children);
  std::string open = read_text(out);
  std::replace(open.begin(), open.end(), '\n', ' ');
  return wrong + wrong_if(open != "0 1 2 3 ", "no descriptors of ours (3 is ls's own)") +
         wrong_if(run_command({"/none"}, alert).has_value(), "a program that is not there");
}

void test_order(void**) {
  assert_int_equal(wrong_order() + wrong_two() + wrong_beginning(), 0);
}
void test_unwritable(void**) {
  assert_int_equal(wrong_unwritable(), 0);
}
void test_poison(void**) {
  assert_int_equal(wrong_poison(), 0);
}
void test_random(void**) {
  assert_int_equal(wrong_random(), 0);
}
void test_commands(void**) {
  assert_int_equal(wrong_commands(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_unwritable),
                              cmocka_unit_test(test_poison), cmocka_unit_test(test_random),
                              cmocka_unit_test(test_commands)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
