// The service over a sequencer that does what the test says: what is acknowledged, when, and what a failed write
// leaves.
#include "hub/service.h"

#include <condition_variable>

#include "core/json.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/judge_fixture.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;      // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

// Holds what it is given until the test says what becomes of it.
class HeldSequencer final : public Sequencer {
 public:
  void append(std::vector<std::string> entries, Done done) override { hold({std::move(entries), std::move(done)}); }
  void append_policy(std::string, std::string sig, Done done) override { hold({{std::move(sig)}, std::move(done)}); }
  std::string trouble() const override { return {}; }
  std::shared_ptr<const Published> published() const override { return std::make_shared<const Published>(); }
  void on_published(std::function<void(std::shared_ptr<const Published>)>) override {}

  void await(std::size_t count) {
    std::unique_lock lock(mutex_);
    demand(came_.wait_for(lock, Seconds{10}, [&] { return held_.size() >= count; }));
  }
  // The oldest. A good one gets the next indexes.
  std::vector<std::string> finish(bool good = true) {
    std::unique_lock lock(mutex_);
    demand(!held_.empty());
    Held next = std::move(held_.front());
    held_.erase(held_.begin());
    const std::uint64_t first = size_;
    if (good) size_ += next.entries.size();
    lock.unlock();
    if (good) {
      next.done(first);
    } else {
      next.done(Error{Errc::unavailable, "the disk is full"});
    }
    return next.entries;
  }

 private:
  struct Held {
    std::vector<std::string> entries;
    Done done;
  };
  void hold(Held held) {
    const std::lock_guard lock(mutex_);
    held_.push_back(std::move(held));
    came_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<Held> held_;
  std::uint64_t size_ = 100;
};

class Inbox {
 public:
  Answered next() {
    return [this](Answer answer) {
      const std::lock_guard lock(mutex_);
      answers_.push_back(std::move(answer));
      came_.notify_all();
    };
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return answers_.size();
  }
  Answer await(std::size_t number) {
    std::unique_lock lock(mutex_);
    demand(came_.wait_for(lock, Seconds{10}, [&] { return answers_.size() >= number; }));
    return answers_[number - 1];
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<Answer> answers_;
};

class Listener final : public Notices {
 public:
  void taken(const Statement& taken, const Judgement& before, const Judgement& after, const Request&, const Policy&,
             UnixTime) override {
    const std::lock_guard lock(mutex_);
    told_ += taken.signer() + ": " + std::string(to_string(before.state)) + " to " +
             std::string(to_string(after.state)) + "\n";
  }
  std::string told() {
    const std::lock_guard lock(mutex_);
    return told_;
  }

 private:
  std::mutex mutex_;
  std::string told_;
};

struct World {
  World() : service(Trust{"acme-prod", {}, {}}, PersonLimits{}, seams()) {
    demand(service.restore_policy(0, judge_policy_text(), policy_sig()).has_value());
    service.restored();
    service.start(sequencer);
  }
  ServiceSeams seams() {
    ServiceSeams s;
    s.now = [this] { return kNoon + Seconds{scene.now}; };
    s.moment = [] { return Moment{}; };
    s.zones = [this](const std::set<std::string>&) -> Result<ZoneTable> { return scene.zones; };
    s.log = [](const std::string&) {};
    s.notices = &listener;
    return s;
  }
  static std::string policy_sig() {
    const std::string payload = policy_payload("acme-prod", 7, sha256(judge_policy_text()));
    const TestKey key = TestKey::plain("ana");
    return envelope_line(kPolicyPayloadType, payload, key.fingerprint(),
                         key.sign(kPolicyNamespace, as_bytes(dsse_message(kPolicyPayloadType, payload))));
  }
  void post(std::initializer_list<std::size_t> which) {
    std::string body;
    for (const std::size_t i : which) body += scene.statements[i].envelope() + "\n";
    service.post_statements(body, inbox.next());
  }
  std::string grants() {
    Inbox own;
    service.get_grants("", own.next());
    return own.await(1).body;
  }

  Scene scene;
  Listener listener;
  HeldSequencer sequencer;
  Inbox inbox;
  hub::Service service;
};

std::string statuses(const Answer& answer) {
  const auto json = parse_json(answer.body);
  demand(json.has_value() && json->find("results") != nullptr);
  std::string text = std::to_string(answer.status);
  for (const Json& line : *json->find("results")->as_array()) {
    text += " " + *line.find("status")->as_string();
    if (line.find("index") != nullptr) text += "@" + std::to_string(*line.find("index")->as_int());
  }
  return text;
}

// Nothing is acknowledged before it is durable, to nobody who sent it.
int wrong_acknowledgements() {
  World w;
  w.scene.ask();
  w.scene.approve("bob", 60);
  w.post({1, 0});
  w.sequencer.await(1);
  w.post({0});
  w.post({1, 0});
  w.grants();  // by then the others have been looked at: one thread or two, the jobs before it are done or running
  int wrong = wrong_if(w.inbox.count() != 0, "acknowledged before it is durable");
  const auto entries = w.sequencer.finish();
  wrong += wrong_if(entries.size() != 2 || entries[0] != w.scene.statements[0].envelope(), "the request goes first");
  std::multiset<std::string> got;
  for (std::size_t i = 1; i <= 3; ++i) got.insert(statuses(w.inbox.await(i)));
  const std::multiset<std::string> expected = {"200 taken@101 taken@100", "200 known@100", "200 known@101 known@100"};
  for (const std::string& text : got) wrong += wrong_if(expected.count(text) == 0, text.c_str());
  return wrong + wrong_if(got != expected, "three answers");
}

// What was not written is not known: sent again, it is taken.
int wrong_failures() {
  World w;
  w.scene.ask();
  w.post({0});
  w.sequencer.await(1);
  w.sequencer.finish(false);
  const Answer refused = w.inbox.await(1);
  int wrong = wrong_if(refused.status != 503 || refused.body.find("the disk is full") == std::string::npos, "refused");
  wrong += wrong_if(w.grants().find("\"grants\":[]") == std::string::npos, "nothing is left of it");
  w.post({0});
  w.sequencer.await(1);
  w.sequencer.finish();
  return wrong + wrong_if(statuses(w.inbox.await(2)) != "200 taken@100", "sent again");
}

int wrong_notices() {
  World w;
  w.scene.ask();
  w.scene.approve("bob", 60);
  w.scene.revoke_subject("alice", "ana", 120);
  for (std::size_t i = 0; i < 3; ++i) {
    w.post({i});
    w.sequencer.await(1);
    w.sequencer.finish();
    w.inbox.await(i + 1);
  }
  w.service.finish();
  const std::string expected = "alice: void to pending\nbob: pending to active\nana: active to revoked\n";
  if (w.listener.told() != expected) print_error("%s", w.listener.told().c_str());
  return wrong_if(w.listener.told() != expected, "told once each, in order");
}

// A crash may have come between the disk and the queue: the newest are told once more, the queue knows what it has.
int wrong_retelling() {
  World w;
  w.scene.ask();
  w.scene.approve("bob", 60);
  w.scene.now = 120;
  for (std::size_t i = 0; i < 2; ++i) w.service.restore_statement(50 + i, w.scene.statements[i].envelope());
  w.service.restored();
  w.service.finish();
  const std::string expected = "alice: void to pending\nbob: pending to active\n";
  World late;
  late.scene.ask();
  late.scene.now = 901;
  late.service.restore_statement(50, late.scene.statements[0].envelope());
  late.service.restored();
  late.service.finish();
  return wrong_if(w.listener.told() != expected, "the newest") + wrong_if(!late.listener.told().empty(), "older ones");
}

void test_acknowledgements(void**) {
  assert_int_equal(wrong_acknowledgements(), 0);
}
void test_failures(void**) {
  assert_int_equal(wrong_failures(), 0);
}
void test_notices(void**) {
  assert_int_equal(wrong_notices(), 0);
}

void test_retelling(void**) {
  assert_int_equal(wrong_retelling(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_acknowledgements),
      cmocka_unit_test(test_failures),
      cmocka_unit_test(test_notices),
      cmocka_unit_test(test_retelling),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
