// make_old_log FLEET_NAME FLEET HUB ENTRIES LIVE: a log that has been in use for long, below HUB as `hallpass-hub init`
// left it (HUB/log, HUB/state and both keys). All of it is history but for its last part: an epoch that is 15 days old,
// then an epoch an hour with LIVE statements among them, and the newest epoch, which lets readers begin at the first of
// these.
//   FLEET  what make_grants wrote, at least LIVE + 256 statements: policy.toml, policy.toml.sig, *.grant
// History is 64 bytes an entry, for nobody reads it; but the 256 entries before the live ones share a bundle with
// those.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/hash.h"
#include "core/log/epoch.h"
#include "hub/log_init.h"
#include "hub/log_store.h"
#include "hub/right_edge.h"

namespace {

using namespace hallpass;       // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;  // NOLINT(google-build-using-namespace)
namespace fs = std::filesystem;

constexpr Seconds kHour{3600};
constexpr std::size_t kHours = 15 * 24;
constexpr std::size_t kOldBytes = 64;

void must(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "make_old_log: %s\n", what.c_str());
  std::exit(1);
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  must(static_cast<bool>(in), "cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string without_newline(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// Not durable: it lives as long as a benchmark.
void write(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << content;
  out.close();
  must(static_cast<bool>(out), "cannot write " + path.string());
}

std::vector<std::string> statements_in(const fs::path& fleet) {
  std::vector<fs::path> names;
  for (const auto& file : fs::directory_iterator(fleet)) {
    if (file.path().extension() == ".grant") names.push_back(file.path());
  }
  std::sort(names.begin(), names.end());
  std::vector<std::string> found;
  for (const fs::path& name : names) found.push_back(without_newline(read(name)));
  return found;
}

struct History {
  NoteSigner log_key, witness_key;
  std::string fleet;
  UnixTime now{};
  std::vector<std::string> entries;
  EpochHint newest;

  void add_epoch(std::uint64_t live_from, UnixTime at) {
    const Epoch epoch{fleet, log_key.verifier().name, live_from, 0, at};
    newest = {entries.size(), live_from, 0};
    entries.push_back(format_epoch(epoch, log_key));
  }
};

// Entry 0 is the policy; the index of the old epoch comes back.
std::uint64_t fill(History& log, const std::string& sig, const std::vector<std::string>& statements, std::size_t size,
                   std::size_t live) {
  const std::size_t hourly = kHours + 1;
  must(size > live + hourly + kTileWidth && statements.size() >= live + kTileWidth, "too few entries or statements");
  const std::size_t begin = size - live - hourly;
  log.entries.reserve(size);
  log.entries.push_back(sig);
  while (log.entries.size() + kTileWidth < begin) {
    std::string old = "history " + std::to_string(log.entries.size()) + " ";
    old.resize(kOldBytes, '.');
    log.entries.push_back(std::move(old));
  }
  std::size_t next = 0;
  // As long as statements and as easily compressed, but none, for an epoch must leave out no live one.
  for (; log.entries.size() < begin; ++next) {
    log.entries.emplace_back(statements[next].rbegin(), statements[next].rend());
  }
  for (std::size_t hour = 0; hour < kHours; ++hour) {
    log.add_epoch(0, log.now - kLogHorizon + static_cast<std::int64_t>(hour) * kHour);
    const std::size_t due = kTileWidth + live * (hour + 1) / kHours;
    while (next < due) log.entries.push_back(statements[next++]);
  }
  log.add_epoch(begin, log.now);
  must(log.entries.size() == size && next == kTileWidth + live, "miscounted");
  return begin;
}

void write_files(const History& log, const fs::path& hub, const std::string& toml, const std::string& sig) {
  RightEdge edge;
  for (const RightEdge::File& file : edge.add(log.entries)) write(hub / "log" / file.path, file.content);
  const Checkpoint head{log.log_key.verifier().name, edge.frontier().size(), edge.frontier().root()};
  const std::string text = format_checkpoint(head);
  const std::string note = with_signature(text, log.log_key.sign_line(text));
  const Digest digest = sha256(toml);
  write(hub / "log" / policy_text_path(digest), toml);
  write(hub / "log" / policy_signature_path(digest), sig);
  write(hub / "log" / kEpochHintPath, format_epoch_hint(log.newest));
  write(hub / "log" / kPolicyHintsPath, format_policy_hints({{1, digest, 0}}));
  write(hub / "state" / kCommittedName, note);
  write(hub / "log" / kCheckpointPath, with_signature(note, log.witness_key.sign_line(text, log.now)));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: make_old_log FLEET_NAME FLEET HUB ENTRIES LIVE\n");
    return 2;
  }
  const fs::path fleet = argv[2], hub = argv[3];
  const auto log_key = load_note_key((hub / "log.key").string(), NoteKeyType::ed25519);
  const auto witness_key = load_note_key((hub / "witness.key").string(), NoteKeyType::cosignature);
  must(log_key.has_value() && witness_key.has_value(), "run `hallpass-hub init` first");
  History log{*log_key, *witness_key, argv[1], {}, {}, {}};
  log.now = std::chrono::time_point_cast<Seconds>(std::chrono::system_clock::now());
  const std::string toml = read(fleet / "policy.toml"), sig = without_newline(read(fleet / "policy.toml.sig"));
  const std::uint64_t begin =
      fill(log, sig, statements_in(fleet), std::strtoul(argv[4], nullptr, 10), std::strtoul(argv[5], nullptr, 10));
  write_files(log, hub, toml, sig);
  std::printf("%zu entries, live from %llu\n", log.entries.size(), static_cast<unsigned long long>(begin));
  return 0;
}
