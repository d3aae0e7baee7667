// One head after the other into a mirror, from carriers that a test damages. How each lie is named is the business of
// tests/unit/core/log and tests/system/test_fetch.py; here: what is kept, in which order, and what is nobody's fault.
#include "agent/fetch/gatherer.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/cmocka.h"
#include "tests/unit/core/log/log_fixture.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)
namespace fs = std::filesystem;

const Moment kStart = Moment{} + std::chrono::seconds{1000};

void must(bool ok) {
  if (!ok) std::abort();
}

class TempDir {
 public:
  TempDir() {
    path_ = (access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + std::string("/hallpass-fetch-XXXXXX");
    must(mkdtemp(path_.data()) != nullptr);
  }
  ~TempDir() { fs::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class FakeCarrier : public Carrier {
 public:
  explicit FakeCarrier(Files from) : files(std::move(from)) {}
  Result<std::string> file(const std::string& path, std::size_t limit) override {
    asked.push_back(path);
    if (on_file) on_file(path);
    return reading(files)(path, limit);
  }
  bool was_asked(const std::string& path) const { return std::find(asked.begin(), asked.end(), path) != asked.end(); }
  Files files;
  std::vector<std::string> asked;
  std::function<void(const std::string&)> on_file;
};

// A log, its carrier, and a mirror of it.
struct World {
  World() : mirror(open_mirror()) {
    log.add_some(300);
    log.files["policies"] = "[]\n";
  }
  Mirror open_mirror() const {
    Result<Mirror> opened = Mirror::open(directory.path());
    must(opened.has_value());
    return std::move(*opened);
  }
  std::string take(Gatherer& gatherer, FakeCarrier& carrier, const std::string& note, int seconds = 0) {
    const auto taken = gatherer.take(note, carrier, kStart + std::chrono::seconds{seconds});
    const auto* fault = std::get_if<FetchFault>(&taken);
    return fault == nullptr ? "" : (fault->local ? "local " : "") + fault->message;
  }
  bool has(const std::string& path) const { return fs::exists(directory.path() + "/" + path); }

  TempDir directory;
  Mirror mirror;
  TestLog log;
};

int wrong_first_head() {
  World w;
  Gatherer gatherer(w.mirror, "acme", w.log.trust());
  int wrong = wrong_if(gatherer.restore().has_value() || gatherer.size() != 0, "a new mirror");
  const std::string note = w.log.publish();
  FakeCarrier carrier(w.log.files);
  carrier.on_file = [&](const std::string&) { wrong += wrong_if(w.has("checkpoint"), "the checkpoint is last"); };
  wrong += wrong_if(!w.take(gatherer, carrier, note).empty(), "taken");
  wrong += wrong_if(w.mirror.note() != note || gatherer.size() != 300, "published");
  wrong += wrong_if(!w.has("tile/entries/000") || !w.has("tile/entries/001.p/44"), "entries");
  carrier.asked.clear();
  wrong += wrong_if(!w.take(gatherer, carrier, note).empty() || !carrier.asked.empty(), "the same again costs nothing");
  return wrong;
}

int wrong_refusals() {
  World w;
  Gatherer gatherer(w.mirror, "acme", w.log.trust());
  FakeCarrier good({});
  const std::string first = w.log.publish();
  good.files = w.log.files;
  int wrong = wrong_if(!w.take(gatherer, good, first).empty(), "taken");
  w.log.add_some(300);
  const std::string second = w.log.publish();
  for (const std::size_t at : {40U, 2000U}) {  // among entries known before, and among the new ones
    FakeCarrier bad(w.log.files);
    bad.files["tile/entries/001"][at] ^= 1;
    const std::string fault = w.take(gatherer, bad, second);
    wrong += wrong_if(fault.find("damaged: ") != 0 || fault.find("tile/entries/001") == std::string::npos,
                      ("the file is named: " + fault).c_str());
  }
  wrong += wrong_if(w.has("tile/entries/001") || w.has("tile/entries/002.p/88"), "nothing of it is kept");
  wrong += wrong_if(!fs::is_empty(w.directory.path() + "/.arriving"), "nor on its way");
  wrong += wrong_if(w.mirror.note() != first || gatherer.size() != 300, "the mirror stands where it stood");
  good.files = w.log.files;
  wrong +=
      wrong_if(!w.take(gatherer, good, second).empty() || w.mirror.note() != second, "the next carrier is believed");
  wrong += wrong_if(w.take(gatherer, good, first).find("rollback: checkpoint") != 0, "an older head is not");
  return wrong;
}

// The list of policies is damaged, or one of them lost: revocations do not wait for whoever repairs it.
int wrong_without_policies() {
  World w;
  Gatherer gatherer(w.mirror, "acme", w.log.trust());
  const std::string note = w.log.publish();
  FakeCarrier carrier(w.log.files);
  carrier.files["policies"] = "garbage";
  int wrong = wrong_if(w.take(gatherer, carrier, note).find("malformed: policies") != 0, "named");
  wrong += wrong_if(!w.take(gatherer, carrier, note, 59).size() || w.has("checkpoint"), "another source may have it");
  wrong += wrong_if(w.take(gatherer, carrier, note, 60).find("malformed: policies") != 0, "named still");
  wrong += wrong_if(w.mirror.note() != note || !w.has("tile/entries/000"), "but the entries are there");
  carrier.files["policies"] = "[]\n";
  return wrong + wrong_if(!w.take(gatherer, carrier, note, 61).empty() || gatherer.wants_policies(), "mended");
}

int wrong_cosignatures() {
  World w;
  Gatherer gatherer(w.mirror, "acme", w.log.trust());
  const std::string middle = w.log.publish(kNow), older = w.log.publish(kNow - 60), newer = w.log.publish(kNow + 60);
  FakeCarrier carrier(w.log.files);
  int wrong = wrong_if(!w.take(gatherer, carrier, middle).empty(), "taken");
  wrong += wrong_if(!w.take(gatherer, carrier, older).empty() || w.mirror.note() != middle, "an older one is no news");
  wrong += wrong_if(!w.take(gatherer, carrier, newer).empty() || w.mirror.note() != newer, "a newer one is");
  return wrong;
}

int wrong_restarts() {
  World w;
  const std::string note = w.log.publish();
  FakeCarrier carrier(w.log.files);
  {
    Gatherer gatherer(w.mirror, "acme", w.log.trust());
    must(w.take(gatherer, carrier, note).empty());
  }
  int wrong = 0;
  {
    Gatherer lost(w.mirror, "acme", w.log.trust());  // it was killed before it wrote down its position
    wrong += wrong_if(lost.restore().has_value() || lost.size() != 300, "read again from the mirror alone");
    wrong += wrong_if(!lost.remember(), "written down");
  }
  Gatherer again(w.mirror, "acme", w.log.trust());
  wrong += wrong_if(again.restore().has_value() || again.size() != 300, "goes on");
  carrier.asked.clear();
  w.log.add_some(1);
  const std::string next = w.log.publish();
  carrier.files = w.log.files;
  wrong += wrong_if(!w.take(again, carrier, next).empty() || carrier.was_asked("tile/entries/000"), "with what is new");
  Gatherer other(w.mirror, "acme", TestLog("another").trust());
  wrong += wrong_if(!other.restore() || other.size() != 0, "another log begins anew");
  wrong += wrong_if(w.has("checkpoint") || w.has("tile/entries/000"), "with an empty mirror");
  return wrong;
}

int wrong_disk() {
  World w;
  Gatherer gatherer(w.mirror, "acme", w.log.trust());
  const std::string note = w.log.publish();
  FakeCarrier carrier(w.log.files);
  const std::string arriving = w.directory.path() + "/.arriving";
  fs::remove_all(arriving);
  int wrong = wrong_if(w.take(gatherer, carrier, note).find("local ") != 0, "the disk's fault is not the carrier's");
  fs::create_directory(arriving);
  wrong += wrong_if(!w.take(gatherer, carrier, note).empty() || w.mirror.note() != note, "and it passes");
  return wrong;
}

int wrong_own_files() {
  World w;
  Gatherer gatherer(w.mirror, "acme", w.log.trust());
  const std::string note = w.log.publish();
  FakeCarrier carrier(w.log.files);
  must(w.take(gatherer, carrier, note).empty());
  // As a power cut may leave a file: of the right name, and empty.
  std::ofstream(w.directory.path() + "/tile/entries/001", std::ios::trunc).close();
  w.log.add_some(300);
  const std::string next = w.log.publish();
  carrier.files = w.log.files;
  int wrong = wrong_if(!w.take(gatherer, carrier, next).empty(), "the mirror is doubted before the carrier is");
  wrong +=
      wrong_if(*w.mirror.read("tile/entries/001", kMaxBundleBytes) != w.log.files["tile/entries/001"], "and mended");
  return wrong;
}

int wrong_leftovers() {
  const TempDir directory;
  const std::string root = directory.path();
  const std::string left[] = {"/.checkpoint.0123", "/.arriving/tile~entries~000", "/policies/.policy-1.toml.0123"};
  fs::create_directory(root + "/.arriving");
  fs::create_directory(root + "/policies");
  for (const std::string& name : left) std::ofstream(root + name).put('x');
  const auto mirror = Mirror::open(root);
  int wrong = wrong_if(!mirror, "opened");
  for (const std::string& name : left) wrong += wrong_if(fs::exists(root + name), "half written files go");
  wrong += wrong_if(Mirror::open(root).has_value(), "one at a time");
  return wrong + wrong_if(Mirror::open(root + "/none").has_value(), "a mirror that is not there is not made");
}

void test_first_head(void**) {
  assert_int_equal(wrong_first_head(), 0);
}
void test_refusals(void**) {
  assert_int_equal(wrong_refusals(), 0);
}
void test_without_policies(void**) {
  assert_int_equal(wrong_without_policies(), 0);
}
void test_cosignatures(void**) {
  assert_int_equal(wrong_cosignatures(), 0);
}
void test_restarts(void**) {
  assert_int_equal(wrong_restarts(), 0);
}
void test_disk(void**) {
  assert_int_equal(wrong_disk(), 0);
}
void test_own_files(void**) {
  assert_int_equal(wrong_own_files(), 0);
}
void test_leftovers(void**) {
  assert_int_equal(wrong_leftovers(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_first_head),   cmocka_unit_test(test_refusals),
                              cmocka_unit_test(test_cosignatures), cmocka_unit_test(test_restarts),
                              cmocka_unit_test(test_disk),         cmocka_unit_test(test_own_files),
                              cmocka_unit_test(test_leftovers),    cmocka_unit_test(test_without_policies)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
