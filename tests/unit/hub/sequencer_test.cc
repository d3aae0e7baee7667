#include "hub/sequencer_thread.h"

#include "tests/unit/cmocka.h"
#include "tests/unit/hub/sequencer_world.h"

namespace {

using namespace hallpass;                // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;           // NOLINT(google-build-using-namespace)
using namespace hallpass::hub::testing;  // NOLINT(google-build-using-namespace)

bool is_error(const Result<std::uint64_t>& answer, Errc code) {
  return !answer && answer.error().code == code;
}

int wrong_answers() {
  SequencerWorld w;
  w.start();
  int wrong = wrong_if(w.log->published()->size != 0 || !w.published_is_true(), "the empty log is published");
  wrong += wrong_if(*w.append({"a"}) != 0 || *w.append({"b", "c"}) != 1 || *w.append({"d"}) != 3, "indexes");
  wrong += wrong_if(w.log->published()->size != 4 || !w.published_is_true(), "published when answered");
  wrong += wrong_if(w.heads.take()->size != 1 || w.heads.take()->size != 3 || w.heads.take()->size != 4, "told");
  wrong += wrong_if(w.entry(0) != "a" || w.entry(2) != "c" || w.entry(3) != "d", "entries");
  w.log.reset();
  w.start();
  const std::vector<std::pair<std::uint64_t, std::string>> all{{0, "a"}, {1, "b"}, {2, "c"}, {3, "d"}};
  wrong += wrong_if(w.restored != all || w.log->published()->size != 4, "a new start reads them");
  wrong += wrong_if(*w.append({"e"}) != 4 || !w.published_is_true(), "and goes on");
  return wrong;
}

// While the sequencer's thread is held, what comes waits, and then goes together.
class Held {
 public:
  explicit Held(SequencerWorld& world) {
    world.log->append({"held"}, [this](const Result<std::uint64_t>&) {
      began_.put(true);
      go_.take();
    });
    began_.take();
  }
  void release() { go_.put(true); }

 private:
  Mailbox<bool> began_, go_;
};

int wrong_batches() {
  SequencerWorld w;
  w.start();
  Held held(w);
  const std::uint64_t before = w.log->counts().batches;
  for (int i = 0; i < 200; ++i) w.log->append({std::to_string(i), "x"}, w.answer());
  held.release();
  int wrong = 0;
  for (std::uint64_t i = 0; i < 200; ++i) wrong += wrong_if(*w.answers.take() != 1 + 2 * i, "in order");
  wrong += wrong_if(w.log->counts().batches != before + 1, "what waits goes together");
  Held again(w);
  const std::uint64_t then = w.log->counts().batches;
  for (int i = 0; i < 5; ++i) w.log->append(some_entries(256), w.answer());
  again.release();
  for (std::uint64_t i = 0; i < 5; ++i) wrong += wrong_if(*w.answers.take() != 402 + 256 * i, "in order");
  wrong += wrong_if(w.log->counts().batches != then + 2, "at most 1024 entries");
  return wrong + wrong_if(!w.published_is_true() || w.log->counts().entries != 402 + 1280, "all of it");
}

// Flushes are what a batch costs: they must not grow by an oversight.
int wrong_flushes() {
  SequencerWorld w;
  w.start();
  w.add({"a"});
  const std::uint64_t before = w.log->counts().fsyncs;
  w.add({"b"});
  int wrong = wrong_if(w.log->counts().fsyncs != before + 8, "8 flushes for a batch within a bundle");
  w.add(some_entries(64));
  return wrong + wrong_if(w.log->counts().fsyncs != before + 16, "whatever its size");
}

int wrong_refusals() {
  SequencerWorld w;
  w.start();
  const PolicyFiles policy = policy_files(1);
  int wrong = wrong_if(!is_error(w.append({}), Errc::malformed), "no entry");
  wrong += wrong_if(!is_error(w.append({"a", std::string(65536, 'x')}), Errc::too_large), "65536 bytes");
  wrong += wrong_if(!is_error(w.append({policy.sig}), Errc::malformed), "a policy without its text");
  const Epoch epoch{"acme-prod", "log.test/acme", 0, 0, kNow};
  wrong += wrong_if(!is_error(w.append({format_epoch(epoch, w.disk.log_signer())}), Errc::malformed), "an epoch");
  w.log->append_policy("other text", policy.sig, w.answer());
  wrong += wrong_if(!is_error(w.answers.take(), Errc::mismatch), "a policy with another text");
  w.log->append_policy(policy.toml, "{}", w.answer());
  wrong += wrong_if(!is_error(w.answers.take(), Errc::malformed), "no envelope");
  wrong += wrong_if(w.log->published()->size != 0 || !w.log->trouble().empty(), "nothing is in, nothing has stopped");
  return wrong + wrong_if(*w.append({std::string(65535, 'x')}) != 0, "65535 bytes");
}

int wrong_waiting() {
  SequencerWorld w;
  w.start();
  Held held(w);
  const std::string big(65535, 'x');
  const std::vector<std::string> group(31, big);  // a bit under 2 MiB
  for (int i = 0; i < 34; ++i) w.log->append(group, w.answer());
  held.release();
  int wrong = 0, refused = 0;
  for (int i = 0; i < 34; ++i) refused += is_error(w.answers.take(), Errc::unavailable) ? 1 : 0;
  wrong += wrong_if(refused != 1, "what is over 64 MiB is refused");
  return wrong + wrong_if(!w.append({"later"}), "and only that");
}

int wrong_policies() {
  SequencerWorld w;
  w.start();
  w.add({"a"});
  const PolicyFiles files = policy_files(1);
  const std::string path = w.disk.log + "/" + policy_text_path(sha256(files.toml));
  int wrong = wrong_if(*w.append_policy(1) != 1 || read_text(path) != files.toml, "its text lies beside the log");
  wrong += wrong_if(read_text(w.disk.log + "/" + policy_signature_path(sha256(files.toml))) != files.sig, "its .sig");
  wrong += wrong_if(w.entry(1) != files.sig, "which is its entry");
  wrong += wrong_if(!is_error(w.append_policy(1), Errc::mismatch), "once");
  wrong += wrong_if(!w.append_policy(2), "the next one");
  const auto hints = parse_policy_hints(read_text(w.disk.log + "/policies"));
  wrong += wrong_if(!hints || hints->size() != 2 || hints->back().version != 2 || hints->back().index != 3, "listed");
  w.log.reset();
  w.start();
  return wrong + wrong_if(w.log->policies().size() != 2, "also after a start");
}

int wrong_epochs() {
  SequencerWorld w;
  std::vector<std::uint64_t> asked, renewed;
  auto options = w.options();
  options.renew = [&](std::uint64_t live_from) {
    asked.push_back(live_from);
    return live_from > 0 ? std::vector<std::string>{"again"} : std::vector<std::string>();
  };
  options.renewed = [&](std::uint64_t first, const std::vector<std::string>&) { renewed.push_back(first); };
  w.open(options);
  w.log->start();
  const auto hint = [&] { return must(parse_epoch_hint(read_text(w.disk.log + "/epoch"))); };
  const auto epoch_at = [&](std::uint64_t index) {
    return must(open_epoch(w.entry(index), "acme-prod", w.disk.log_signer().verifier()));
  };
  int wrong = wrong_if(*w.append({"a"}) != 0 || w.log->published()->size != 1, "no epoch before the first policy");
  must(w.append_policy(1).has_value());
  wrong += wrong_if(w.log->published()->size != 3 || !(epoch_at(2) == Epoch{"acme-prod", "log.test/acme", 0, 1, kNow}),
                    "one with the first policy");
  wrong += wrong_if(hint().index != 2 || hint().live_from != 0 || hint().policy != 1, "the hint");
  w.clock += 3599;
  w.add({"b"});
  wrong += wrong_if(w.log->published()->size != 4, "none within the hour");
  w.clock += 1;
  w.add({"c"});
  wrong += wrong_if(w.log->published()->size != 6 || epoch_at(5).live_from != 0, "one an hour");
  w.clock = to_unix(kNow) + kLogHorizon.count() - 1;
  w.add({"d"});
  wrong += wrong_if(epoch_at(7).live_from != 0, "nothing is old enough");
  w.clock = to_unix(kNow) + kLogHorizon.count() + 3600;
  w.add({"e"});  // 8; renewed 9; epoch 10
  wrong += wrong_if(w.entry(9) != "again" || epoch_at(10).live_from != 5 || epoch_at(10).policy != 1,
                    "begins at the newest epoch over the horizon, after what is renewed");
  w.log.reset();  // its thread used what follows
  wrong += wrong_if(asked != std::vector<std::uint64_t>({0, 0, 0, 5}) || renewed != std::vector<std::uint64_t>({9}),
                    "asked with the next live_from, told where");
  w.start();
  wrong += wrong_if(w.restored.front().first != 5 || w.restored.size() != 6, "a start reads from there");
  w.add({"f"});
  return wrong + wrong_if(w.log->published()->size != 12, "and needs no epoch");
}

int wrong_cosigning() {
  SequencerWorld w;
  auto options = w.options();
  options.cosign_every = Seconds{1};
  w.open(options);
  const UnixTime first = w.log->published()->at;
  w.clock += 60;
  w.log->start();
  const auto next = w.heads.take();
  int wrong = wrong_if(first != kNow || next->size != 0 || next->at != kNow + Seconds{60}, "an idle log is cosigned");
  const auto verified = verify_checkpoint(next->note, w.trust());
  return wrong + wrong_if(!verified || verified->seen_at != kNow + Seconds{60}, "which dates it");
}

int wrong_stop(const char* name, const std::function<void(SequencerWorld&)>& harm,
               const std::function<void(SequencerWorld&)>& repair) {
  SequencerWorld w;
  w.start();
  w.add({"a"});
  const auto before = w.log->published();
  harm(w);
  int wrong = wrong_if(!is_error(w.append({"b"}), Errc::unavailable), "unavailable");
  repair(w);
  wrong += wrong_if(!is_error(w.append({"c"}), Errc::unavailable), "for good, also when the cause has gone");
  wrong += wrong_if(w.log->trouble().empty() || w.log->published() != before, "says why, publishes nothing");
  wrong += wrong_if(w.told.take().rfind("3 the log has stopped: ", 0) != 0, "tells the operator");
  w.log.reset();
  wrong += wrong_if(w.stops != 1, "calls once");
  w.start();
  wrong += wrong_if(*w.append({"d"}) != 1 || w.entry(0) != "a" || w.entry(1) != "d" || !w.published_is_true(),
                    "and a restart goes on");
  return wrong_if(wrong != 0, name);
}

int wrong_stops() {
  std::string kept;
  const auto tiles = [](SequencerWorld& w) { return w.disk.log + "/tile"; };
  int wrong = wrong_stop(
      "a file in a directory's place",
      [&](SequencerWorld& w) {
        std::filesystem::rename(tiles(w), w.disk.log + "/away");
        write_text(tiles(w), "");
      },
      [&](SequencerWorld& w) {
        std::filesystem::remove(tiles(w));
        std::filesystem::rename(w.disk.log + "/away", tiles(w));
      });
  const auto committed = [](SequencerWorld& w) { return w.disk.state + "/committed"; };
  wrong += wrong_stop(
      "somebody else writes",
      [&](SequencerWorld& w) {
        kept = read_text(committed(w));
        write_text(committed(w), w.disk.signed_note(9, empty_root()));
      },
      [&](SequencerWorld& w) { write_text(committed(w), kept); });
  return wrong;
}

int wrong_end() {
  SequencerWorld w;
  w.start();
  auto held = std::make_unique<Held>(w);
  for (int i = 0; i < 10; ++i) w.log->append({"x"}, w.answer());
  held->release();
  w.log.reset();
  int wrong = 0;
  for (std::uint64_t i = 0; i < 10; ++i) wrong += wrong_if(w.answers.empty() || *w.answers.take() != 1 + i, "answered");
  w.start();
  return wrong + wrong_if(w.restored.size() != 11, "what waited is in");
}

// Partial files go when neither the published head nor the one before it needs them.
int wrong_pruning() {
  SequencerWorld w;
  w.start();
  const auto partials = [&](const char* of) { return std::filesystem::exists(w.disk.log + "/tile/" + of + "/000.p"); };
  w.add(some_entries(100));
  w.add(some_entries(200));
  int wrong = wrong_if(!partials("0") || !partials("entries"), "the head before needs them");
  w.add({"x"});
  w.add({"y"});
  w.log.reset();
  wrong += wrong_if(partials("0") || partials("entries"), "nobody does");
  wrong += wrong_if(!std::filesystem::exists(w.disk.log + "/tile/1/000.p/1"), "the edge stays");
  w.start();
  return wrong + wrong_if(!w.published_is_true() || w.restored.size() != 302, "whole");
}

#define TEST(name, function)         \
  void name(void**) {                \
    assert_int_equal(function(), 0); \
  }
TEST(test_answers, wrong_answers)
TEST(test_batches, wrong_batches)
TEST(test_flushes, wrong_flushes)
TEST(test_refusals, wrong_refusals)
TEST(test_waiting, wrong_waiting)
TEST(test_policies, wrong_policies)
TEST(test_epochs, wrong_epochs)
TEST(test_cosigning, wrong_cosigning)
TEST(test_stops, wrong_stops)
TEST(test_end, wrong_end)
TEST(test_pruning, wrong_pruning)

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_answers),  cmocka_unit_test(test_batches),   cmocka_unit_test(test_flushes),
      cmocka_unit_test(test_refusals), cmocka_unit_test(test_waiting),   cmocka_unit_test(test_policies),
      cmocka_unit_test(test_epochs),   cmocka_unit_test(test_cosigning), cmocka_unit_test(test_stops),
      cmocka_unit_test(test_end),      cmocka_unit_test(test_pruning)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
