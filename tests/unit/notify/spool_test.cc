#include "notify/spool.h"

#include <utime.h>

#include "notify/routes.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/notify/fixture.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

constexpr long long kNow = 1'800'000'000;

struct Queue {
  explicit Queue(int alerts) : writer(dir.queue(), dir.counter(), [] { return std::uint64_t{1000}; }) {
    for (int i = 0; i < alerts; ++i) must(writer.put(alert_of("e" + std::to_string(i))).has_value());
  }
  Spool open(std::vector<std::string> receivers) const {
    Result<Spool> spool = Spool::open(dir.queue(), std::move(receivers));
    must(spool.has_value() && spool->refresh(from_unix(kNow)).has_value());
    return std::move(*spool);
  }
  std::vector<std::string> names() const { return names_in(dir.queue()); }
  TempDir dir;
  AlertQueue writer;
};

int wrong_one_receiver() {
  const Queue q(3);
  const std::string got = deliver_all(q.dir.queue(), {"webhook"}, "webhook");
  return wrong_if(got != "e0 e1 e2", "in order") + wrong_if(!q.names().empty(), "nothing is left");
}

int wrong_two_receivers() {
  const Queue q(3);
  Spool spool = q.open({"webhook", "command"});
  must(spool.delivered(1000, "command").has_value() && spool.delivered(1001, "command").has_value());
  must(spool.delivered(1000, "webhook").has_value());
  int wrong = wrong_if(spool.next("webhook") != 1001U || spool.next("command") != 1002U, "each at its own pace") +
              wrong_if(spool.waiting("webhook") != 2 || spool.waiting("command") != 1, "how many wait");
  const std::vector<std::string> expected{"0000000000001001.command-done.json", "0000000000001002.json"};
  wrong += wrong_if(q.names() != expected, "what is written down");
  // Another process finds it so.
  wrong += wrong_if(deliver_all(q.dir.queue(), {"webhook", "command"}, "command") != "e2", "the command's rest");
  wrong += wrong_if(deliver_all(q.dir.queue(), {"webhook", "command"}, "webhook") != "e1 e2", "the webhook's rest");
  return wrong + wrong_if(!q.names().empty(), "nothing is left");
}

// The configuration changes between runs: who is not configured any more is not waited for.
int wrong_changes() {
  const Queue q(2);
  Spool both = q.open({"webhook", "command"});
  must(both.delivered(1000, "command").has_value());
  int wrong = wrong_if(deliver_all(q.dir.queue(), {"webhook"}, "webhook") != "e0 e1", "the webhook alone");
  const Queue r(2);
  Spool again = r.open({"webhook", "command"});
  must(again.delivered(1000, "command").has_value());
  wrong += wrong_if(deliver_all(r.dir.queue(), {"command"}, "command") != "e1", "the command alone");
  const Queue s(2);
  const Spool nobody = s.open({});
  return wrong + wrong_if(!s.names().empty() || !r.names().empty(), "with nobody to deliver to nothing is kept");
}

// A crash of the writer at each step leaves one of these.
int wrong_writer_crashes() {
  const Queue q(1);
  const std::string fresh = q.dir.queue() + "/0000000000001050.new", old = q.dir.queue() + "/0000000000000999.new";
  write_text(fresh, "{\"hallpass\":\"al");
  write_text(old, "");
  const struct utimbuf then { kNow - 700, kNow - 700 }, now{kNow - 500, kNow - 500};
  utime(old.c_str(), &then);
  utime(fresh.c_str(), &now);
  int wrong = wrong_if(deliver_all(q.dir.queue(), {"webhook"}, "webhook") != "e0", "whole alerts alone");
  return wrong + wrong_if(q.names() != std::vector<std::string>{"0000000000001050.new"}, "what is old goes");
}

// A crash of the reader before it wrote down that both have one.
int wrong_reader_crash() {
  const Queue q(2);
  const std::string name = q.dir.queue() + "/0000000000001000";
  must(rename((name + ".json").c_str(), (name + ".webhook-done.json").c_str()) == 0);
  Spool spool = q.open({"webhook"});
  return wrong_if(q.names().size() != 1 || spool.next("webhook") != 1001U, "removed when the receivers have it");
}

int wrong_unreadable() {
  const Queue q(1);
  const std::string d = q.dir.queue() + "/";
  write_text(d + "0000000000000001.json", "no JSON");
  must(symlink("/etc/shadow", (d + "0000000000000002.json").c_str()) == 0);
  must(mkfifo((d + "0000000000000003.json").c_str(), 0600) == 0);
  must(mkdir((d + "0000000000000004.json").c_str(), 0700) == 0);
  write_text(d + "0000000000000005.json", std::string(kMaxDocumentBytes + 1, ' '));
  write_text(d + "0000000000000006.json", "");
  Spool spool = q.open({"webhook"});
  int wrong = 0;
  for (std::uint64_t n = 1; n <= 6; ++n) {
    const Result<QueuedDocument> alert = spool.read(n);
    wrong += wrong_if(alert || alert.error().code == Errc::unavailable, "it is no alert");
    wrong += wrong_if(!spool.set_aside(n), "set aside");
  }
  const std::vector<std::string> left{"0000000000001000.json", "rejected"};
  return wrong + wrong_if(q.names() != left || names_in(d + "rejected").size() != 6, "out of the way") +
         wrong_if(deliver_all(q.dir.queue(), {"webhook"}, "webhook") != "e0", "the others arrive") +
         wrong_if(spool.read(77).has_value() || spool.read(77).error().code != Errc::not_found, "none such");
}

int wrong_reject() {
  const Queue q(2);
  Spool spool = q.open({"webhook", "command"});
  const Result<QueuedDocument> first = spool.read(1000);
  int wrong = wrong_if(!spool.reject(*first, "webhook"), "rejected");
  wrong += wrong_if(read_text(q.dir.queue() + "/rejected/0000000000001000.webhook.json") != first->json, "a copy");
  wrong += wrong_if(spool.next("webhook") != 1001U || spool.next("command") != 1000U, "the command still gets it");
  for (std::size_t i = 0; i < kMaxRejected + 5; ++i)
    write_text(q.dir.queue() + "/rejected/" + number_text(i) + ".webhook.json", "x");
  const Result<QueuedDocument> second = spool.read(1001);
  must(spool.reject(*second, "webhook").has_value());
  const auto kept = names_in(q.dir.queue() + "/rejected");
  return wrong + wrong_if(kept.size() > kMaxRejected, "no more than so many") +
         wrong_if(kept.front() <= "0000000000000004.webhook.json", "the oldest go") +
         wrong_if(read_text(q.dir.queue() + "/rejected/0000000000001001.webhook.json") != second->json, "the newest");
}

// Somebody removes an alert by hand while it is on its way.
int wrong_removed() {
  const Queue q(2);
  Spool spool = q.open({"webhook"});
  unlink((q.dir.queue() + "/0000000000001000.json").c_str());
  const Result<QueuedDocument> gone = spool.read(1000);
  return wrong_if(gone || gone.error().code != Errc::not_found, "gone") +
         wrong_if(!spool.delivered(1000, "webhook") || spool.next("webhook") != 1001U, "and no trouble");
}

// Who gets a document is asked of the document.
int wrong_routes() {
  const Queue q(2);
  const std::string d = q.dir.queue() + "/";
  const std::string notice = R"({"hallpass":"notice/1","id":")" + std::string(32, 'b') + R"(","event":"denied",)";
  write_text(d + "0000000000002000.json", notice + R"("channel":"room","to":["ana","bob"]})");
  write_text(d + "0000000000002001.json", notice + R"("channel":"mail","to":["bob"]})");
  write_text(d + "0000000000002002.json", notice + R"("channel":"mail","to":["ana"]})");
  write_text(d + "0000000000002003.json", "no JSON");
  NotifyConfig config;
  config.webhook = "https://a/";
  config.command = {"/usr/bin/page"};
  config.email.server = "smtp://a";
  config.email.people = {{"bob", "bob@example.org"}};
  config.email.to = {"ops@example.org", "noc@example.org"};
  std::vector<std::string> unknown;
  Routes routes(config, [&](const std::string& person) { unknown.push_back(person); });
  const std::vector<std::string> everybody = routes.everybody();
  int reads = 0;
  const auto route = [&](const DocumentHead& head) {
    ++reads;
    return routes.of(head);
  };
  Result<Spool> opened = Spool::open(q.dir.queue(), everybody, route);
  must(opened.has_value() && opened->refresh(from_unix(kNow)).has_value());
  Spool& spool = *opened;
  int wrong = wrong_if(everybody.size() != 4 || spool.waited_for().size() != 5, "five receivers") +
              wrong_if(unknown != std::vector<std::string>{"ana"}, "ana has no address, and that is said once") +
              wrong_if(std::filesystem::exists(d + "0000000000002002.json"), "nobody is to get hers");
  std::string bob;
  for (const std::string& name : spool.waited_for()) bob = routes.address_of(name) == "bob@example.org" ? name : bob;
  wrong += wrong_if(spool.next(bob) != 2001U || spool.waiting(bob) != 1, "bob's, and nothing else");
  wrong += wrong_if(spool.waiting("webhook") != 4, "two alerts, the room's notice, and what nobody can read");
  for (const std::string& name : {everybody[3], everybody[1], everybody[2]})
    must(spool.delivered(1000, name).has_value());
  wrong += wrong_if(spool.next("webhook") != 1000U || spool.next(everybody[3]) != 1001U, "each at its own pace");
  must(spool.delivered(2001, bob).has_value());
  wrong += wrong_if(std::filesystem::exists(d + "0000000000002001.json"), "bob's is gone");
  Result<Spool> again = Spool::open(q.dir.queue(), everybody, route);
  must(again.has_value() && again->refresh(from_unix(kNow)).has_value());
  wrong += wrong_if(again->next("webhook") != 1000U || again->next("command") != 1001U, "another process knows it");
  reads = 0;
  must(again->refresh(from_unix(kNow)).has_value());
  wrong += wrong_if(reads != 0, "read once");
  must(again->delivered(1000, "webhook").has_value());
  return wrong + wrong_if(again->next("webhook") != 1001U || names_in(q.dir.queue()).front() != "0000000000001001.json",
                          "removed when all four have it");
}

int wrong_open() {
  const TempDir dir;
  must(symlink(dir.queue().c_str(), (dir.path() + "/link").c_str()) == 0);
  return wrong_if(Spool::open(dir.path() + "/none", {}).has_value(), "missing") +
         wrong_if(Spool::open(dir.path() + "/link", {}).has_value(), "a link");
}

void test_receivers(void**) {
  assert_int_equal(wrong_one_receiver() + wrong_two_receivers() + wrong_changes() + wrong_routes(), 0);
}
void test_crashes(void**) {
  assert_int_equal(wrong_writer_crashes() + wrong_reader_crash(), 0);
}
void test_unreadable(void**) {
  assert_int_equal(wrong_unreadable() + wrong_removed() + wrong_open(), 0);
}
void test_reject(void**) {
  assert_int_equal(wrong_reject(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_receivers), cmocka_unit_test(test_crashes),
                              cmocka_unit_test(test_unreadable), cmocka_unit_test(test_reject)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
