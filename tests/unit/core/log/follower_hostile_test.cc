// Carriers that lie: each fails, with its fault, and the file or entry that is wrong by name.
#include <fstream>
#include <functional>

#include "core/log/follower.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/log/log_fixture.h"

namespace {

using hallpass::EpochHint;
using hallpass::Errc;
using hallpass::LogAdvance;
using hallpass::LogFault;
using hallpass::LogPosition;
using hallpass::LogRefusal;
using hallpass::LogTrust;
using hallpass::testing::Files;
using hallpass::testing::kNow;
using hallpass::testing::reading;
using hallpass::testing::TestLog;

constexpr long long kDay = 24 * 3600;
constexpr std::size_t kKnown = 300, kSize = 1400;

// 1400 entries; the epoch at 1200 leaves behind those before 700. `odd`: that entry is another.
TestLog make_log(std::size_t size = kSize, std::size_t odd = kSize, const std::string& seed = "log") {
  TestLog log(seed);
  while (log.entries.size() < size) {
    const std::size_t index = log.entries.size();
    if (index == odd) {
      log.add("another entry");
    } else if (index == 10) {
      log.add_epoch(0, 0, kNow);
    } else if (index == 700) {
      log.add_epoch(0, 0, kNow + 16 * kDay);
    } else if (index == 1200) {
      log.add_epoch(700, 0, kNow + 32 * kDay);
    } else {
      log.add_some(1);
    }
  }
  return log;
}

LogPosition position_at(std::size_t size) {
  TestLog log = make_log(size);
  const auto result =
      hallpass::advance(LogPosition(), log.publish(), log.trust(), "acme", reading(log.files), std::nullopt);
  const auto* good = std::get_if<LogAdvance>(&result);
  return good == nullptr ? LogPosition() : good->next;
}

// What a reader gets to see.
struct Carried {
  TestLog log = make_log();
  std::string note = log.publish();
  Files& files = log.files;
  std::optional<EpochHint> hint;
  LogTrust trust = log.trust();
};

enum class Reader { fresh, joining, behind, jumping, current };  // joining: new, with a hint

struct Row {
  const char* name;
  Reader reader;
  std::function<void(Carried&)> spoil;
  std::optional<LogFault> expected;  // nullopt: it advances
  const char* named;                 // in the message
};

void flip(Files& files, const std::string& path, std::size_t at) {
  std::string& bytes = files.at(path);
  bytes.at(at) = static_cast<char>(bytes.at(at) ^ 1);
}
void keep(Carried&) {}

std::variant<LogAdvance, LogRefusal> run(const Row& row, Carried& carried) {
  const bool hinted = row.reader == Reader::joining || row.reader == Reader::jumping;
  if (hinted) carried.hint = EpochHint{1200, 700, 0};
  if (row.spoil) row.spoil(carried);
  LogPosition position;
  if (row.reader == Reader::behind || row.reader == Reader::jumping) position = position_at(kKnown);
  if (row.reader == Reader::current) position = position_at(kSize);
  return hallpass::advance(position, carried.note, carried.trust, "acme", reading(carried.files), carried.hint);
}

template <std::size_t N>
int wrong_rows(const Row (&rows)[N]) {
  int wrong = 0;
  for (const Row& row : rows) {
    Carried carried;
    const auto result = run(row, carried);
    const auto* refusal = std::get_if<LogRefusal>(&result);
    const std::string found =
        refusal == nullptr ? "it advances" : std::string(to_string(refusal->fault)) + ": " + refusal->message;
    const bool as_expected = row.expected ? refusal != nullptr && refusal->fault == *row.expected &&
                                                refusal->message.find(row.named) != std::string::npos
                                          : refusal == nullptr;
    wrong += wrong_if(!as_expected, (std::string(row.name) + "\n   " + found).c_str());
  }
  return wrong;
}

void give_other_history(Carried& c, std::size_t odd, std::size_t size) {
  c.log.files.clear();
  TestLog other = make_log(size, odd);
  c.note = other.publish();
  c.files = other.files;
}

int wrong_histories() {
  const Row rows[] = {
      {"good, new", Reader::fresh, keep, std::nullopt, ""},
      {"good, new with a hint", Reader::joining, keep, std::nullopt, ""},
      {"good, behind", Reader::behind, keep, std::nullopt, ""},
      {"good, jumping", Reader::jumping, keep, std::nullopt, ""},
      {"good, the same again", Reader::current, keep, std::nullopt, ""},
      {"an older head", Reader::current, [](Carried& c) { c.note = make_log(kKnown).publish(); }, LogFault::rollback,
       "300 entries is older than the one of 1400"},
      {"an empty head", Reader::current, [](Carried& c) { c.note = TestLog().publish(); }, LogFault::rollback,
       "0 entries"},
      {"another history of the same size", Reader::current, [](Carried& c) { give_other_history(c, 100, kSize); },
       LogFault::fork, "two heads of 1400 entries"},
      {"another history of more entries", Reader::behind, [](Carried& c) { give_other_history(c, 100, kSize); },
       LogFault::fork, "does not contain the entries that were verified"},
      {"another history, jumped over", Reader::jumping, [](Carried& c) { give_other_history(c, 100, kSize); },
       LogFault::fork, "does not contain the entries that were verified"},
      {"another history, to a new reader, is the history", Reader::fresh,
       [](Carried& c) { give_other_history(c, 100, kSize); }, std::nullopt, ""},
      {"another history, and a tile that would tell is not there", Reader::behind,
       [](Carried& c) {
         give_other_history(c, 100, kSize);
         c.files.erase("tile/0/003");
       },
       LogFault::fork, "tile/0/003 is not there"},
      {"another history's files under this head", Reader::fresh,
       [](Carried& c) {
         const std::string note = c.note;
         give_other_history(c, 100, kSize);
         c.note = note;
       },
       LogFault::damaged, "fit together, but not the signed head of 1400"},
      {"another log's head", Reader::behind, [](Carried& c) { c.note = make_log(kSize, kSize, "other").publish(); },
       LogFault::untrusted, "log.example.org"},
      {"a head without enough witnesses", Reader::behind, [](Carried& c) { c.trust.quorum = 2; }, LogFault::untrusted,
       "1 of the 2 witnesses"},
      {"a reader of another log", Reader::behind,
       [](Carried& c) {
         const auto signer = hallpass::testing::vector_signer("log", "other.org", hallpass::NoteKeyType::ed25519);
         const std::string text = hallpass::format_checkpoint({"other.org", kSize, c.log.root()});
         c.trust.log = signer.verifier();
         c.note = text + "\n" + signer.sign_line(text) + c.log.witness.sign_line(text, hallpass::from_unix(kNow));
       },
       LogFault::untrusted, "has followed the log \"log.example.org/approvals\""},
      {"an empty log with a root", Reader::fresh,
       [](Carried& c) {
         c.note = c.log.note_of({hallpass::testing::kOrigin, 0, c.log.root()});
       },
       LogFault::malformed, "empty log"},
      {"a byte of the checkpoint's size", Reader::behind, [](Carried& c) { c.note[27] = '2'; }, LogFault::untrusted,
       "does not verify"},
      {"a byte of the checkpoint's root", Reader::behind, [](Carried& c) { c.note[40] = '+'; }, LogFault::untrusted,
       "does not verify"},
      {"a cut checkpoint", Reader::behind, [](Carried& c) { c.note.pop_back(); }, LogFault::malformed, "newline"},
      {"an endless checkpoint", Reader::behind, [](Carried& c) { c.note.resize(1 << 20, 'x'); }, LogFault::malformed,
       "64 KiB"},
      {"a head of 2^40 entries, new", Reader::fresh,
       [](Carried& c) {
         c.note = c.log.note_of({hallpass::testing::kOrigin, 1ull << 40, c.log.root()});
       },
       LogFault::missing, "tile/entries/005 is not there"},
      {"a head of 2^40 entries, jumping", Reader::jumping,
       [](Carried& c) {
         c.note = c.log.note_of({hallpass::testing::kOrigin, 1ull << 40, c.log.root()});
       },
       LogFault::missing, "tile/1/000 is not there"},
      {"a head of 2^60 entries", Reader::fresh,
       [](Carried& c) {
         c.note = c.log.note_of({hallpass::testing::kOrigin, 1ull << 60, c.log.root()});
       },
       LogFault::malformed, "281474976710656"},
  };
  return wrong_rows(rows);
}
void test_histories(void**) {
  assert_int_equal(wrong_histories(), 0);
}

// Bundle 3 with its entries changed.
void rewrite_bundle(Carried& c, const std::function<void(std::vector<std::string>&)>& change) {
  std::vector<std::string> entries(c.log.entries.begin() + 768, c.log.entries.begin() + 1024);
  change(entries);
  c.files["tile/entries/003"] = hallpass::encode_bundle(entries);
}

int wrong_files() {
  const Row rows[] = {
      {"a missing bundle", Reader::behind, [](Carried& c) { c.files.erase("tile/entries/003"); }, LogFault::missing,
       "tile/entries/003 is not there"},
      {"the last bundle missing", Reader::behind, [](Carried& c) { c.files.erase("tile/entries/005.p/120"); },
       LogFault::missing, "tile/entries/005.p/120 is not there, nor is tile/entries/005"},
      {"the full bundle in its place", Reader::behind,
       [](Carried& c) {
         c.files["tile/entries/005"] =
             c.files["tile/entries/005.p/120"] + hallpass::encode_bundle(std::vector<std::string>(136, "later"));
         c.files.erase("tile/entries/005.p/120");
       },
       std::nullopt, ""},
      {"a missing entry", Reader::behind,
       [](Carried& c) { rewrite_bundle(c, [](auto& entries) { entries.erase(entries.begin() + 5); }); },
       LogFault::malformed, "tile/entries/003: it holds 255 entries instead of 256"},
      {"a missing entry, and another at the end", Reader::behind,
       [](Carried& c) {
         rewrite_bundle(c, [](auto& entries) {
           entries.erase(entries.begin() + 5);
           entries.emplace_back("instead");
         });
       },
       LogFault::damaged, "entry 773 in tile/entries/003 does not fit tile/0/003"},
      {"two entries in the other order", Reader::behind,
       [](Carried& c) { rewrite_bundle(c, [](auto& entries) { std::swap(entries[8], entries[9]); }); },
       LogFault::damaged, "entry 776 in tile/entries/003 does not fit tile/0/003"},
      {"an entry too many", Reader::behind,
       [](Carried& c) { rewrite_bundle(c, [](auto& entries) { entries.emplace_back("more"); }); }, LogFault::malformed,
       "tile/entries/003: bytes follow the 256th entry"},
      {"a byte of an entry", Reader::fresh, [](Carried& c) { flip(c.files, "tile/entries/000", 5); }, LogFault::damaged,
       "entry 0 in tile/entries/000 does not fit tile/0/000"},
      {"a byte of an entry, last bundle", Reader::joining,
       [](Carried& c) { flip(c.files, "tile/entries/005.p/120", 5); }, LogFault::damaged,
       "entry 1280 in tile/entries/005.p/120 does not fit tile/0/005.p/120"},
      {"a byte of an entry that was read before does not matter", Reader::behind,
       [](Carried& c) { flip(c.files, "tile/entries/001", 5); }, std::nullopt, ""},
      {"a byte of a length", Reader::behind, [](Carried& c) { flip(c.files, "tile/entries/003", 0); },
       LogFault::malformed, "tile/entries/003: it "},
      {"a cut bundle", Reader::behind, [](Carried& c) { c.files["tile/entries/003"].pop_back(); }, LogFault::malformed,
       "tile/entries/003: it is cut off"},
      {"an empty bundle", Reader::behind, [](Carried& c) { c.files["tile/entries/003"].clear(); }, LogFault::malformed,
       "tile/entries/003: it holds 0 entries"},
      {"bytes behind a bundle", Reader::behind, [](Carried& c) { c.files["tile/entries/005.p/120"] += '\0'; },
       LogFault::malformed, "tile/entries/005.p/120"},
      {"an entry behind a partial bundle", Reader::behind,
       [](Carried& c) { c.files["tile/entries/005.p/120"] += hallpass::encode_bundle({"more"}); }, LogFault::malformed,
       "tile/entries/005.p/120 holds more"},
      {"an endless bundle", Reader::behind,
       [](Carried& c) { c.files["tile/entries/003"].resize(hallpass::kMaxBundleBytes + 1); }, LogFault::malformed,
       "tile/entries/003"},
      {"two bundles swapped", Reader::behind,
       [](Carried& c) { std::swap(c.files["tile/entries/002"], c.files["tile/entries/003"]); }, LogFault::damaged,
       "entry 512 in tile/entries/002 does not fit tile/0/002"},
      {"an older partial bundle", Reader::behind, [](Carried& c) { c.files["tile/entries/005.p/120"].resize(100); },
       LogFault::malformed, "tile/entries/005.p/120"},
  };
  return wrong_rows(rows);
}
void test_files(void**) {
  assert_int_equal(wrong_files(), 0);
}

int wrong_tiles() {
  const Row rows[] = {
      {"a missing tile", Reader::joining, [](Carried& c) { c.files.erase("tile/1/000.p/5"); }, LogFault::missing,
       "tile/1/000.p/5 is not there, nor is tile/1/000"},
      {"a missing tile that proves what was read", Reader::jumping, [](Carried& c) { c.files.erase("tile/0/001"); },
       LogFault::missing, "tile/0/001 is not there"},
      {"a byte of a tile of leaves", Reader::jumping, [](Carried& c) { flip(c.files, "tile/0/001", 44 * 32); },
       LogFault::damaged, "tile/0/001 does not fit tile/1/000.p/5"},
      {"a byte of a tile above", Reader::joining, [](Carried& c) { flip(c.files, "tile/1/000.p/5", 0); },
       LogFault::damaged, "tile/0/000 does not fit tile/1/000.p/5"},
      {"a byte of a tile above that only the proof needs", Reader::jumping,
       [](Carried& c) { flip(c.files, "tile/1/000.p/5", 4 * 32); }, LogFault::damaged,
       "tile/0/004 does not fit tile/1/000.p/5"},
      {"a byte of the last tile", Reader::jumping, [](Carried& c) { flip(c.files, "tile/0/005.p/120", 0); },
       LogFault::damaged, "entry 1280 in tile/entries/005.p/120 does not fit tile/0/005.p/120"},
      {"two tiles swapped", Reader::jumping,
       [](Carried& c) { std::swap(c.files["tile/0/001"], c.files["tile/0/002"]); }, LogFault::damaged,
       "tile/0/002 does not fit tile/1/000.p/5"},
      {"two hashes of a tile swapped", Reader::joining,
       [](Carried& c) {
         std::string& tile = c.files["tile/1/000.p/5"];
         tile = tile.substr(32, 32) + tile.substr(0, 32) + tile.substr(64);
       },
       LogFault::damaged, "tile/0/000 does not fit tile/1/000.p/5"},
      {"a cut tile", Reader::joining, [](Carried& c) { c.files["tile/1/000.p/5"].pop_back(); }, LogFault::malformed,
       "tile/1/000.p/5"},
      {"bytes behind a tile", Reader::joining, [](Carried& c) { c.files["tile/1/000.p/5"] += std::string(32, 'x'); },
       LogFault::malformed, "tile/1/000.p/5 has more bytes"},
      {"an endless tile", Reader::joining, [](Carried& c) { c.files["tile/1/000.p/5"].resize(1 << 20); },
       LogFault::malformed, "tile/1/000.p/5"},
      {"a byte of an entry, and its tile made to fit", Reader::behind,
       [](Carried& c) {
         flip(c.files, "tile/entries/003", 9);
         const std::string_view bundle = c.files["tile/entries/003"];
         const auto leaf = hallpass::leaf_hash(hallpass::as_bytes(hallpass::decode_bundle(bundle, 1).value()[0]));
         c.files["tile/0/003"].replace(0, 32, hallpass::as_text(leaf.bytes));
       },
       LogFault::damaged, "tile/0/003 does not fit tile/1/000.p/5"},
      {"a byte of an entry, and no tile to tell", Reader::behind,
       [](Carried& c) {
         flip(c.files, "tile/entries/003", 9);
         c.files.erase("tile/1/000.p/5");
       },
       LogFault::fork, "tile/1/000.p/5 is not there"},
      {"a byte of an entry, and a tile that is none", Reader::behind,
       [](Carried& c) {
         flip(c.files, "tile/entries/003", 9);
         c.files["tile/0/003"] = "<html>";
       },
       LogFault::malformed, "tile/0/003"},
  };
  return wrong_rows(rows);
}
void test_tiles(void**) {
  assert_int_equal(wrong_tiles(), 0);
}

// A log of three levels, where a tile above is damaged: it is named, and not the ones below it, which are as they were.
int wrong_levels() {
  TestLog log = make_log(10);
  log.add_epoch(0, 0, kNow);
  log.add_some(65800 - 11);
  log.add_epoch(0, 0, kNow + 16 * kDay);
  log.add_some(199);
  log.add_epoch(65800, 0, kNow + 32 * kDay);
  const std::string note = log.publish();
  const EpochHint hint{66000, 65800, 0};
  const LogPosition position = position_at(kKnown);
  const auto said = [&](const Files& files) -> std::string {
    const auto result = hallpass::advance(position, note, log.trust(), "acme", reading(files), hint);
    const auto* refusal = std::get_if<LogRefusal>(&result);
    return refusal == nullptr ? "" : refusal->message;
  };
  int wrong = wrong_if(!said(log.files).empty(), said(log.files).c_str());
  const std::pair<const char*, const char*> damages[] = {
      {"tile/1/000", "tile/1/000 does not fit tile/2/000.p/1"},
      {"tile/0/001", "tile/0/001 does not fit tile/1/000"},
      {"tile/2/000.p/1", "tile/1/000 does not fit tile/2/000.p/1"},
  };
  for (const auto& [path, expected] : damages) {
    Files files = log.files;
    flip(files, path, files.at(path).size() < 64 ? 0 : 44 * 32);
    if (path == std::string_view("tile/1/000")) flip(files, path, 1 * 32);
    wrong += wrong_if(said(files) != expected, (path + std::string(": ") + said(files)).c_str());
  }
  return wrong;
}
void test_levels(void**) {
  assert_int_equal(wrong_levels(), 0);
}

// Appends an epoch to the log and publishes it.
std::function<void(Carried&)> with_epoch(std::uint64_t live_from, std::uint64_t policy, long long day,
                                         const char* fleet = "acme") {
  return [=](Carried& c) {
    c.log.add_epoch(live_from, policy, kNow + day * kDay, fleet);
    c.note = c.log.publish();
  };
}

int wrong_epochs() {
  const Row rows[] = {
      {"a good one", Reader::behind, with_epoch(1200, 0, 48), std::nullopt, ""},
      {"the same day again", Reader::behind, with_epoch(700, 0, 32), std::nullopt, ""},
      {"live_from after itself", Reader::behind, with_epoch(1401, 0, 90), LogFault::epoch, "entry 1400 is an epoch"},
      {"live_from before the last one's", Reader::behind, with_epoch(699, 0, 48), LogFault::epoch,
       "reaches back to entry 699"},
      {"before the last one's, to who is up to date", Reader::current, with_epoch(699, 0, 48), LogFault::epoch,
       "reaches back to entry 699"},
      {"time before the last one's", Reader::behind, with_epoch(700, 0, 31), LogFault::epoch,
       "is before that of the epoch"},
      {"time before the last one's, to who is up to date", Reader::current, with_epoch(700, 0, 31), LogFault::epoch,
       "is before that of the epoch"},
      {"a policy that comes after it", Reader::behind, with_epoch(700, 1400, 48), LogFault::epoch, "its policy"},
      {"entries left behind that still matter", Reader::behind, with_epoch(1201, 0, 46), LogFault::epoch,
       "younger than 15d, which can still matter: those from 1200 to 1201"},
      {"left behind, to who is up to date", Reader::current, with_epoch(1399, 0, 33), LogFault::epoch,
       "younger than 15d, which can still matter"},
      {"another fleet's", Reader::behind, with_epoch(700, 0, 48, "acme2"), LogFault::epoch, "fleet \"acme2\""},
      {"signed by another", Reader::behind,
       [](Carried& c) {
         const auto other =
             hallpass::testing::vector_signer("w1", hallpass::testing::kOrigin, hallpass::NoteKeyType::ed25519);
         c.log.add(
             format_epoch({"acme", hallpass::testing::kOrigin, 700, 0, hallpass::from_unix(kNow + 90 * kDay)}, other));
         c.note = c.log.publish();
       },
       LogFault::epoch, "entry 1400 is an epoch that cannot be: the epoch is not signed by the log"},
      {"a lie that the tree does not hold is damage", Reader::behind,
       [](Carried& c) {
         auto entries = c.log.entries;
         c.log.add_epoch(1401, 0, kNow);
         entries[1300] = c.log.entries.back();
         c.files["tile/entries/005.p/120"] = hallpass::encode_bundle({entries.begin() + 1280, entries.end()});
       },
       LogFault::damaged, "entry 1300 in tile/entries/005.p/120"},
      {"a hint at another entry", Reader::jumping, [](Carried& c) { c.hint->index = 1201; }, LogFault::epoch,
       "entry 1201"},
      {"a hint with another live_from", Reader::jumping, [](Carried& c) { c.hint->live_from = 701; }, LogFault::epoch,
       "701"},
      {"a hint with another policy", Reader::joining, [](Carried& c) { c.hint->policy = 1; }, LogFault::epoch,
       "policy 1"},
      {"a hint far ahead", Reader::joining, [](Carried& c) { c.hint->live_from = 1100; }, LogFault::epoch, "1100"},
      {"a hint beyond the log", Reader::joining, [](Carried& c) { c.hint->index = 1400; }, LogFault::epoch,
       "entry 1400 of a log of 1400"},
      {"a hint before its own live_from", Reader::joining, [](Carried& c) { c.hint->index = 600; }, LogFault::epoch,
       "600"},
      {"a hint that says nothing", Reader::joining, [](Carried& c) { c.hint->live_from = 0; }, std::nullopt, ""},
      {"a hint that saves nothing is not looked at", Reader::behind,
       [](Carried& c) {
         c.hint = EpochHint{9999, 300, 9999};
       },
       std::nullopt, ""},
  };
  return wrong_rows(rows);
}
void test_epochs(void**) {
  assert_int_equal(wrong_epochs(), 0);
}

// Every byte of a bundle, one at a time.
int wrong_flips() {
  TestLog log;
  log.add_some(300);
  const std::string note = log.publish();
  int wrong = 0;
  const std::string path = "tile/entries/001.p/44";
  for (std::size_t at = 0; at < log.files.at(path).size(); ++at) {
    Files files = log.files;
    flip(files, path, at);
    const auto result = hallpass::advance(LogPosition(), note, log.trust(), "acme", reading(files), std::nullopt);
    const auto* refusal = std::get_if<LogRefusal>(&result);
    const bool named = refusal != nullptr && refusal->message.find(path) != std::string::npos &&
                       (refusal->fault == LogFault::damaged || refusal->fault == LogFault::malformed);
    wrong += wrong_if(!named, std::to_string(at).c_str());
  }
  return wrong;
}
void test_flips(void**) {
  assert_int_equal(wrong_flips(), 0);
}

// A head of 2^40 entries, and a carrier that makes up bundles as long as it is asked for them.
int wrong_endless() {
  const TestLog log;
  const std::string note = log.note_of({hallpass::testing::kOrigin, 1ULL << 40, hallpass::empty_root()});
  const std::string bundle = hallpass::encode_bundle(std::vector<std::string>(256));
  std::uint64_t read = 0;
  const hallpass::LogFiles endless = [&](const std::string&, std::size_t) -> hallpass::Result<std::string> {
    ++read;
    return bundle;
  };
  const auto result = hallpass::advance(LogPosition(), note, log.trust(), "acme", endless, std::nullopt);
  const auto* refusal = std::get_if<LogRefusal>(&result);
  int wrong =
      wrong_if(refusal == nullptr || refusal->message.find("more entries than are taken at once") == std::string::npos,
               "it ends");
  return wrong + wrong_if(read != hallpass::kMaxEntriesAtOnce / 256, "in time");
}
void test_endless(void**) {
  assert_int_equal(wrong_endless(), 0);
}

// Files that change behind the reader's back, and a source that fails.
int wrong_later() {
  Carried c;
  const LogPosition position = position_at(kKnown);
  const auto result = hallpass::advance(position, c.note, c.trust, "acme", reading(c.files), std::nullopt);
  const auto* good = std::get_if<LogAdvance>(&result);
  if (good == nullptr) return wrong_if(true, "it advances");
  const auto first = entries_of(*good, 1, reading(c.files));
  int wrong = wrong_if(!first || first->size() != 512 - kKnown || first->front().index != kKnown, "the first bundle");
  wrong += wrong_if(entries_of(*good, 0, reading(c.files)).has_value(), "a bundle before");
  wrong += wrong_if(entries_of(*good, 6, reading(c.files)).has_value(), "a bundle beyond");
  flip(c.files, "tile/entries/003", 9);
  const auto changed = entries_of(*good, 3, reading(c.files));
  wrong += wrong_if(changed || changed.error().code != Errc::malformed ||
                        changed.error().message.find("entry 768 in tile/entries/003") == std::string::npos,
                    "changed later");
  c.files.erase("tile/entries/003");
  const auto gone = entries_of(*good, 3, reading(c.files));
  wrong += wrong_if(gone || gone.error().code != Errc::not_found, "gone later");
  const hallpass::LogFiles failing = [](const std::string&, std::size_t) -> hallpass::Result<std::string> {
    return hallpass::Error{Errc::unavailable, "the disk is on fire"};
  };
  const auto failed = hallpass::advance(position, c.note, c.trust, "acme", failing, std::nullopt);
  const auto* refusal = std::get_if<LogRefusal>(&failed);
  wrong += wrong_if(refusal == nullptr || refusal->fault != LogFault::missing ||
                        refusal->message.find("the disk is on fire") == std::string::npos,
                    "a source that fails");
  return wrong;
}
void test_later(void**) {
  assert_int_equal(wrong_later(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_histories), cmocka_unit_test(test_files),
                              cmocka_unit_test(test_tiles),     cmocka_unit_test(test_epochs),
                              cmocka_unit_test(test_flips),     cmocka_unit_test(test_later),
                              cmocka_unit_test(test_levels),    cmocka_unit_test(test_endless)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
