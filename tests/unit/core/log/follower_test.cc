#include "core/log/follower.h"

#include <fstream>
#include <random>

#include "tests/unit/cmocka.h"
#include "tests/unit/core/log/log_fixture.h"

namespace {

using hallpass::EpochHint;
using hallpass::LogAdvance;
using hallpass::LogFiles;
using hallpass::LogPosition;
using hallpass::LogRefusal;
using hallpass::Result;
using hallpass::testing::kNow;
using hallpass::testing::reading;
using hallpass::testing::TestLog;

constexpr long long kDay = 24 * 3600;

// Writes a log as a hub does: an epoch now and then, which leaves behind what is 15 days old.
class Hub {
 public:
  explicit Hub(unsigned seed) : random_(seed) { log.add("policy"); }

  void grow() {
    log.add_some(random_() % 400 + 1);
    now_ += static_cast<long long>(random_() % 5) * kDay;
    if (random_() % 3 != 0) {
      std::uint64_t live_from = 0;
      for (const auto& [index, at] : epochs_) {
        if (now_ - at >= 15 * kDay) live_from = index;
      }
      hint = EpochHint{log.entries.size(), live_from, 0};
      epochs_.emplace_back(log.entries.size(), now_);
      log.add_epoch(live_from, 0, now_);
      log.add_some(random_() % 20);
    }
    note = log.publish(now_);
  }

  TestLog log;
  std::optional<EpochHint> hint;
  std::string note;

 private:
  std::mt19937 random_;
  long long now_ = kNow;
  std::vector<std::pair<std::uint64_t, long long>> epochs_;
};

std::string fault_of(const std::variant<LogAdvance, LogRefusal>& result) {
  const auto* refusal = std::get_if<LogRefusal>(&result);
  return refusal == nullptr ? "" : std::string(to_string(refusal->fault)) + ": " + refusal->message;
}

// What an advance promises: all entries from `from` on, and the position behind them.
int wrong_in(const LogAdvance& advance, const TestLog& log, const LogFiles& files) {
  const std::size_t size = log.entries.size();
  int wrong = wrong_if(advance.head.checkpoint.size != size || advance.next.frontier.size() != size, "the size");
  wrong += wrong_if(advance.next.frontier.root() != log.root(), "the root");
  wrong += wrong_if(advance.leaves.size() != size - advance.from, "the new leaves");
  std::uint64_t next = advance.from;
  for (std::uint64_t bundle = next / 256; next < size && bundle <= (size - 1) / 256; ++bundle) {
    const auto entries = entries_of(advance, bundle, files);
    if (!entries) return wrong + wrong_if(true, entries.error().message.c_str());
    for (const auto& entry : *entries) {
      wrong += wrong_if(entry.index != next || entry.bytes != log.entries[next], "an entry");
      ++next;
    }
  }
  const auto again = hallpass::parse_position(format_position(advance.next));
  if (!again) return wrong + wrong_if(true, again.error().message.c_str());
  wrong += wrong_if(format_position(*again) != format_position(advance.next), "the position as it is kept");
  return wrong + wrong_if(next != size, "all entries");
}

int wrong_random_logs() {
  int wrong = 0;
  bool jumped = false;
  for (unsigned seed = 0; seed < 6; ++seed) {
    Hub hub(seed);
    const LogFiles files = reading(hub.log.files);
    LogPosition every, some;  // readers of every head, and of some, who jump
    for (int round = 0; round < 24; ++round) {
      hub.grow();
      const auto step = advance(every, hub.note, hub.log.trust(), "acme", files, hub.hint);
      wrong += wrong_if(!fault_of(step).empty(), fault_of(step).c_str());
      if (const auto* good = std::get_if<LogAdvance>(&step)) {
        wrong += wrong_if(good->jumped || good->from != every.frontier.size(), "nobody who is up to date jumps");
        wrong += wrong_in(*good, hub.log, files);
        every = good->next;
      }
      const auto fresh = advance(LogPosition(), hub.note, hub.log.trust(), "acme", files, hub.hint);
      wrong += wrong_if(!fault_of(fresh).empty(), fault_of(fresh).c_str());
      if (const auto* good = std::get_if<LogAdvance>(&fresh)) {
        wrong += wrong_in(*good, hub.log, files);
        wrong += wrong_if(!(good->next.frontier == every.frontier), "two readers agree");
        wrong += wrong_if(good->next.live_from != every.live_from || good->next.epoch != every.epoch, "on the epoch");
        wrong += wrong_if(good->next.read_from != good->from, "a new reader's beginning");
      }
      if (round % 12 != 11) continue;
      const auto leap = advance(some, hub.note, hub.log.trust(), "acme", files, hub.hint);
      wrong += wrong_if(!fault_of(leap).empty(), fault_of(leap).c_str());
      if (const auto* good = std::get_if<LogAdvance>(&leap)) {
        wrong += wrong_in(*good, hub.log, files);
        jumped = jumped || (good->jumped && some.frontier.size() > 0);
        some = good->next;
      }
    }
  }
  return wrong + wrong_if(!jumped, "no reader jumped: these logs are no test");
}
void test_random_logs(void**) {
  assert_int_equal(wrong_random_logs(), 0);
}

// The same head again, and with a fresher cosignature.
int wrong_again() {
  TestLog log;
  log.add("policy");
  log.add_some(299);
  const LogFiles files = reading(log.files);
  const std::string note = log.publish(kNow), later = log.publish(kNow + 60);
  const auto first = advance(LogPosition(), note, log.trust(), "acme", files, std::nullopt);
  const auto* good = std::get_if<LogAdvance>(&first);
  if (good == nullptr) return wrong_if(true, fault_of(first).c_str());
  const auto second = advance(good->next, later, log.trust(), "acme", files, std::nullopt);
  const auto* again = std::get_if<LogAdvance>(&second);
  if (again == nullptr) return wrong_if(true, fault_of(second).c_str());
  int wrong = wrong_if(again->from != 300 || !again->leaves.empty() || again->jumped, "nothing new");
  wrong += wrong_if(again->head.seen_at != hallpass::from_unix(kNow + 60), "a fresher cosignature");
  wrong += wrong_if(again->next.note != later || !(again->next.frontier == good->next.frontier), "the position");
  wrong += wrong_if(entries_of(*again, 1, files).has_value(), "a bundle without new entries");
  return wrong;
}
void test_again(void**) {
  assert_int_equal(wrong_again(), 0);
}

int wrong_empty() {
  TestLog log;
  const LogFiles files = reading(log.files);
  const auto first = advance(LogPosition(), log.publish(), log.trust(), "acme", files, std::nullopt);
  const auto* good = std::get_if<LogAdvance>(&first);
  if (good == nullptr) return wrong_if(true, fault_of(first).c_str());
  int wrong = wrong_if(good->next.origin != hallpass::testing::kOrigin || good->next.frontier.size() != 0, "empty");
  wrong += wrong_if(!hallpass::parse_position(format_position(good->next)).has_value(), "kept");
  log.add("");  // an entry may be any bytes, and none
  const auto second = advance(good->next, log.publish(), log.trust(), "acme", files, std::nullopt);
  const auto* one = std::get_if<LogAdvance>(&second);
  return wrong + (one == nullptr ? wrong_if(true, fault_of(second).c_str()) : wrong_in(*one, log, files));
}
void test_empty(void**) {
  assert_int_equal(wrong_empty(), 0);
}

// A new reader of a log of 20 000 entries, of which 300 matter, reads the files of those and one tile a level.
int wrong_joining() {
  TestLog log;
  log.add("policy");
  log.add_epoch(0, 0, kNow);
  log.add_some(19700 - 2);
  log.add_epoch(0, 0, kNow + 20 * kDay);
  const EpochHint hint{log.entries.size() + 100, 19700, 0};
  log.add_some(100);
  log.add_epoch(19700, 0, kNow + 40 * kDay);
  log.add_some(199);
  const std::string note = log.publish();
  std::vector<std::string> read;
  const LogFiles counting = [&](const std::string& path, std::size_t limit) {
    read.push_back(path);
    return reading(log.files)(path, limit);
  };
  const auto joined = advance(LogPosition(), note, log.trust(), "acme", counting, hint);
  const auto* good = std::get_if<LogAdvance>(&joined);
  if (good == nullptr) return wrong_if(true, fault_of(joined).c_str());
  int wrong = wrong_if(!good->jumped || good->from != 19456, "from the bundle of live_from on");
  wrong += wrong_if(good->next.live_from != 19700 || good->next.epoch != 19801, "the epoch");
  const std::vector<std::string> expected = {"tile/1/000.p/78", "tile/entries/076", "tile/entries/077",
                                             "tile/entries/078.p/33"};
  wrong += wrong_if(read != expected, "these files and no others");
  return wrong;
}
void test_joining(void**) {
  assert_int_equal(wrong_joining(), 0);
}

int wrong_positions() {
  TestLog log;
  log.add_some(5);
  const auto result = advance(LogPosition(), log.publish(), log.trust(), "acme", reading(log.files), std::nullopt);
  const auto* good = std::get_if<LogAdvance>(&result);
  if (good == nullptr) return wrong_if(true, fault_of(result).c_str());
  const std::string text = format_position(good->next), nothing = format_position(LogPosition());
  int wrong = wrong_if(!hallpass::parse_position(text) || !hallpass::parse_position(nothing), "good ones");
  const auto with = [](std::string changed, const std::string& from, const std::string& to) {
    return changed.replace(changed.find(from), from.size(), to);
  };
  const std::pair<const char*, std::string> bad[] = {
      {"nothing", ""},
      {"a list", "[]"},
      {"another version", with(text, "log-position/1", "log-position/2")},
      {"another size", with(text, "\"size\": 5", "\"size\": 6")},
      {"a size with as many bits", with(text, "\"size\": 5", "\"size\": 9")},
      {"another hash", with(text, "sha256:", "sha256:0").erase(text.find("sha256:") + 71, 1)},
      {"another origin", with(text, "\"origin\": \"log", "\"origin\": \"lag")},
      {"no note", with(text, "\"note\": ", "\"nota\": ")},
      {"a time that is none", with(text, "\"epoch_at\": null", "\"epoch_at\": \"today\"")},
      {"a member more", with(text, "\"size\"", "\"more\": 1, \"size\"")},
      {"entries of no log", with(nothing, "\"read_from\": 0", "\"read_from\": -1")},
      {"a note of no log", with(nothing, "\"note\": \"\"", "\"note\": \"x\"")},
  };
  for (const auto& [name, json] : bad) wrong += wrong_if(hallpass::parse_position(json).has_value(), name);
  return wrong;
}
void test_positions(void**) {
  assert_int_equal(wrong_positions(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_random_logs), cmocka_unit_test(test_again),
                              cmocka_unit_test(test_empty), cmocka_unit_test(test_joining),
                              cmocka_unit_test(test_positions)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
