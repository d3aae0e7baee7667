// Who is told of what, in which words, and that nobody is told twice.
#include "hub/notices_queue.h"

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <set>

#include "core/json.h"
#include "hub/notices_text.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/judge_fixture.h"
#include "tests/unit/notify/fixture.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;      // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

// The last statement of a scene is the one that was taken.
struct Taken {
  explicit Taken(const Scene& scene) : policy(parsed(scene.policy_text)), statement(scene.statements.back()) {
    const auto judged = [&](std::size_t count) {
      return judge(scene.digest(), std::span(scene.statements).first(count), *policy, nullptr,
                   kNoon + Seconds{scene.now}, scene.zones);
    };
    before = judged(scene.statements.size() - 1);
    after = judged(scene.statements.size());
    all = notices_of(statement, before, after, scene.request, *policy);
  }
  std::shared_ptr<const Policy> policy;
  Statement statement;
  Judgement before, after;
  std::vector<Notice> all;
};

struct Case {
  const char* name;
  std::function<void(Scene&)> arrange;
  std::string told;  // event and people; empty: nobody
  std::string said;  // must stand in the message
};

void two_gates(Scene& s) {
  s.edit("gates = [ { from = [\"leads\"], count = 1 } ]",
         "gates = [ { from = [\"leads\"], count = 1 }, { from = [\"dave\", \"erin\"], count = 1 } ]");
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"a request goes to those who can fill its gate, never to the subject", [](Scene& s) { s.ask(); },
       "approval_wanted: ana bob", "alice asks for restart-web (service = nginx) on host=web-3 for 30m"},
      {"a request without a gate is nobody's business",
       [](Scene& s) {
         s.use_runbook("look");
         s.ask();
       },
       "", ""},
      {"all gates' people, once each",
       [](Scene& s) {
         two_gates(s);
         s.ask();
       },
       "approval_wanted: ana bob dave erin", ""},
      {"who has approved already is not asked again",
       [](Scene& s) {
         two_gates(s);
         s.approve("bob", 60);
         s.ask();
       },
       "approval_wanted: dave erin", ""},
      {"a request that came too late",
       [](Scene& s) {
         s.request.respond_by = kNoon + Seconds{300};
         s.ask();
       },
       "", ""},
      {"a request of somebody whom no rule names",
       [](Scene& s) {
         s.request.subject = "dave";
         s.ask();
       },
       "", ""},
      {"the approval that opens it",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 60);
       },
       "approved: alice", "granted to alice until 2026-11-23T12:31:00Z, approved by bob"},
      {"an approval that leaves a gate open",
       [](Scene& s) {
         two_gates(s);
         s.ask();
         s.approve("bob", 60);
       },
       "", ""},
      {"one more approval than needed",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 60);
         s.approve("ana", 70);
       },
       "", ""},
      {"an approval of one who may not",
       [](Scene& s) {
         s.ask();
         s.approve("erin", 60);
       },
       "", ""},
      {"an approval of a request for later",
       [](Scene& s) {
         s.request.not_before = kNoon + Seconds{3600};
         s.ask();
         s.approve("bob", 60);
       },
       "approved: alice", "granted to alice from 2026-11-23T13:00:00Z until 2026-11-23T13:30:00Z"},
      {"a denial",
       [](Scene& s) {
         s.ask();
         s.deny("bob", 60);
       },
       "denied: alice", "bob denied alice's restart-web"},
      {"a second denial",
       [](Scene& s) {
         s.ask();
         s.deny("bob", 60);
         s.deny("ana", 70);
       },
       "", ""},
      {"a denial by one who may not",
       [](Scene& s) {
         s.ask();
         s.deny("erin", 60);
       },
       "", ""},
      {"a revocation",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 60);
         s.revoke("chloe", 120);
       },
       "revoked: alice", "chloe revoked alice's restart-web"},
      {"a revocation of all of a person's",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 60);
         s.revoke_subject("alice", "ana", 120);
       },
       "revoked: alice", "ana revoked alice's"},
      {"a revocation by one who may not",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 60);
         s.revoke("dave", 120);
       },
       "", ""},
      {"an approval outside the hours",
       [](Scene& s) {
         s.edit("revokers = [\"chloe\"]", "revokers = [\"chloe\"]\nhours = [\"Mon-Fri 01:00-02:00 UTC\"]");
         s.ask();
         s.approve("bob", 60);
       },
       "not_granted: alice", "bob approved alice's"},
  };
  return all;
}

int wrong_people() {
  int wrong = 0;
  for (const Case& c : cases()) {
    Scene scene;
    c.arrange(scene);
    const Taken taken(scene);
    std::string told, mailed;
    for (const Notice& n : taken.all) {
      std::string& list = n.by_mail ? mailed : told;
      if (list.empty()) list = n.event + ":";
      for (const std::string& person : n.to) list += " " + person;
      wrong += wrong_if(n.by_mail && n.to.size() != 1, c.name);
    }
    if (told != c.told) print_error("  told %s\n", told.c_str());
    wrong += wrong_if(told != c.told || mailed != c.told, c.name);
    if (taken.all.empty()) continue;
    const std::string& message = taken.all.front().message;
    if (message.find(c.said) == std::string::npos) print_error("  said %s\n", message.c_str());
    wrong += wrong_if(message.find(c.said) == std::string::npos, c.name);
  }
  return wrong;
}

Notice first_of(Scene& scene) {
  const Taken taken(scene);
  must(!taken.all.empty());
  return taken.all.front();
}

int wrong_contents() {
  Scene scene;
  scene.request.ticket = "INC-2031";
  scene.ask();
  const Notice asked = first_of(scene);
  const std::string id = grant_id(scene.digest());
  int wrong = wrong_if(asked.command != "hallpass approve " + id, "what to type") +
              wrong_if(asked.reason != "502s on checkout" || asked.ticket != "INC-2031", "why") +
              wrong_if(asked.duration != Seconds{1800} || asked.targets.size() != 1, "how long, where") +
              wrong_if(asked.missing != "waits for 1 approval of leads", "what is missing") +
              wrong_if(asked.commands.size() != 1 || asked.respond_by != scene.request.respond_by, "what it allows") +
              wrong_if(asked.at != kNoon, "when it was signed");
  scene.approve("bob", 60);
  const Notice granted = first_of(scene);
  wrong += wrong_if(granted.command != "ssh alice@web-3" || granted.by != "bob", "where to go");
  wrong += wrong_if(granted.until != kNoon + Seconds{60 + 1800}, "until when");
  Scene many;
  many.request.targets = {Selector::parse("env=prod").value()};
  many.ask();
  many.approve("bob", 60);
  wrong += wrong_if(first_of(many).command != "ssh alice@HOST", "one of many hosts");
  Scene touched;
  touched.edit("revokers = [\"chloe\"]", "revokers = [\"chloe\"]\npresence = \"touch\"");
  touched.add(TestKey::security("alice"), touched.request);
  wrong += wrong_if(first_of(touched).missing.find("touch on a FIDO key") == std::string::npos, "how to sign");
  return wrong;
}

// Other statement, other grant, other person: another id. The same: the same, also in another process.
int wrong_ids() {
  Scene scene;
  scene.ask();
  const Taken taken(scene);
  std::set<std::string> ids;
  for (const Notice& n : taken.all) {
    ids.insert(notice_id(taken.statement.payload_digest(), taken.after.request, n));
    ids.insert(notice_id(sha256("another"), taken.after.request, n));
    ids.insert(notice_id(taken.statement.payload_digest(), sha256("another"), n));
  }
  Notice room;
  room.to = {"bob"};
  Digest zero;
  return wrong_if(ids.size() != taken.all.size() * 3, "distinct") +
         wrong_if(notice_id(zero, zero, room) != "c9a7d77b06259e2e92c8f9a640873dd1", "always the same");
}

// A queue and the hub's state, and a hub that is started again.
struct Bench {
  Bench() {
    must(mkdir((dir.path() + "/state").c_str(), 0700) == 0);
    restart();
  }
  void restart() {
    NoticesQueue::Settings settings;
    settings.directory = dir.queue();
    settings.state = dir.path() + "/state";
    settings.tell = [this](int, const std::string& text) { said.push_back(text); };
    queue = std::make_unique<NoticesQueue>(settings, now);
  }
  void take(const Taken& t, const Scene& scene) {
    queue->taken(t.statement, t.before, t.after, scene.request, *t.policy, now);
  }
  std::vector<std::string> documents() const {
    std::vector<std::string> out;
    for (const std::string& name : names_in(dir.queue())) out.push_back(read_text(dir.queue() + "/" + name));
    return out;
  }
  TempDir dir;
  UnixTime now = kNoon + Seconds{600};
  std::vector<std::string> said;
  std::unique_ptr<NoticesQueue> queue;
};

int wrong_queue() {
  Bench b;
  Scene scene;
  scene.ask();
  const Taken asked(scene);
  b.take(asked, scene);
  b.take(asked, scene);
  int wrong = wrong_if(b.documents().size() != 3, "a room, and two by mail");
  b.restart();
  b.take(asked, scene);
  wrong += wrong_if(b.documents().size() != 3 || b.queue->counts().known != 3, "none again after a restart");
  scene.approve("bob", 60);
  b.take(Taken(scene), scene);
  std::string heads;
  for (const std::string& json : b.documents()) {
    const Result<DocumentHead> head = read_head(json);
    must(head.has_value());
    heads += head->event + "/" + head->person + " ";
  }
  wrong += wrong_if(heads != "approval_wanted/ approval_wanted/ana approval_wanted/bob approved/ approved/alice ",
                    "in order");
  // A crash cut the last line of what was told: that notice may come again, the others do not.
  const std::string told = b.dir.path() + "/state/notices-told";
  const std::string text = read_text(told);
  write_text(told, text.substr(0, text.size() - 3));
  b.restart();
  b.take(asked, scene);
  b.take(Taken(scene), scene);
  wrong += wrong_if(b.documents().size() != 6, "one more");
  b.now += Seconds{16 * 24 * 3600};
  b.restart();
  return wrong + wrong_if(!read_text(told).empty(), "old ones are forgotten") + wrong_if(!b.said.empty(), "no trouble");
}

int wrong_trouble() {
  Bench b;
  Scene scene;
  scene.ask();
  const Taken asked(scene);
  must(rmdir(b.dir.queue().c_str()) == 0);
  b.take(asked, scene);
  b.take(asked, scene);
  int wrong = wrong_if(b.said.size() != 1 || b.queue->counts().lost != 6, "told once, counted");
  must(mkdir(b.dir.queue().c_str(), 0700) == 0);
  b.take(asked, scene);
  wrong += wrong_if(b.documents().size() != 3, "what was lost is no secret: it can still be queued");
  must(rename((b.dir.path() + "/state").c_str(), (b.dir.path() + "/away").c_str()) == 0);
  scene.approve("bob", 60);
  b.take(Taken(scene), scene);
  b.take(Taken(scene), scene);
  return wrong + wrong_if(b.documents().size() != 5, "its memory is not the disk's");
}

// The memory is written anew when it has grown, without what is too old to come again.
int wrong_memory() {
  const TempDir dir;
  const std::string path = dir.path() + "/told";
  const auto id = [](int n) {
    const std::string digits = std::to_string(n);
    return std::string(kDocumentIdDigits - digits.size(), 'a') + digits;
  };
  Told told(path, 1000);
  int wrong = wrong_if(!told.open(kNoon), "no file yet");
  UnixTime now = kNoon;
  for (int i = 0; i < 100; ++i) {
    const std::string one = id(i);
    now += Seconds{24 * 3600};
    wrong += wrong_if(!told.add({&one, 1}, now) || !told.has(one), "known at once");
  }
  wrong += wrong_if(told.has(id(10)) || !told.has(id(99)) || !told.has(id(86)), "fifteen days of them");
  wrong += wrong_if(read_text(path).size() > 2000 + 16 * 44, "no larger than it must be");
  write_text(path, read_text(path) + "junk\n" + id(200) + "\n" + std::string(40, 'b') + " 1\n" + id(201) + " 17");
  Told again(path);
  wrong += wrong_if(!again.open(now), "opened");
  wrong += wrong_if(!again.has(id(99)) || again.has(id(200)) || again.has(id(201)), "whole lines alone");
  must(unlink(path.c_str()) == 0 && mkdir(path.c_str(), 0700) == 0);
  const std::string more = id(300);
  return wrong + wrong_if(again.add({&more, 1}, now).has_value() || !again.has(more), "told, and known all the same");
}

// Texts of people, at their worst, stay one JSON document of the size that its reader takes.
int wrong_hostile() {
  Scene scene;
  scene.request.reason = std::string(498, '"') + "\\<";
  scene.request.ticket = std::string(500, '\\');
  for (int i = 0; i < 40; ++i)
    scene.request.targets.push_back(Selector::parse("host=web-" + std::to_string(i)).value());
  scene.ask();
  const Taken taken(scene);
  int wrong = wrong_if(taken.all.empty(), "told");
  for (const Notice& n : taken.all) {
    const std::string json = notice_json(n, notice_id(taken.statement.payload_digest(), taken.after.request, n));
    wrong += wrong_if(json.size() > kMaxDocumentBytes || !read_head(json), "it can be read");
  }
  return wrong;
}

void test_people(void**) {
  assert_int_equal(wrong_people(), 0);
}
void test_contents(void**) {
  assert_int_equal(wrong_contents() + wrong_hostile(), 0);
}
void test_ids(void**) {
  assert_int_equal(wrong_ids(), 0);
}
void test_queue(void**) {
  assert_int_equal(wrong_queue() + wrong_trouble() + wrong_memory(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_people), cmocka_unit_test(test_contents),
                              cmocka_unit_test(test_ids), cmocka_unit_test(test_queue)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
