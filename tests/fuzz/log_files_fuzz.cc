// The files of a log: names, bundles, tiles, epochs and hints; and a reader that finds the input in place of each of
// the files, which it believes only where they are the log's own.
#include <cstdint>
#include <cstdlib>

#include "core/log/follower.h"
#include "core/log/tiles.h"
#include "tests/unit/core/log/log_fixture.h"

namespace {

using hallpass::LogAdvance;
using hallpass::LogPosition;
using hallpass::LogRefusal;
using hallpass::testing::TestLog;

void require(bool holds) {
  if (!holds) std::abort();
}

void check_names(std::string_view text) {
  const auto name = hallpass::parse_tile_path(text);
  if (!name) return;
  require((name->entries ? hallpass::bundle_path(name->index, name->width)
                         : hallpass::tile_path(name->level, name->index, name->width)) == text);
}

void check_encodings(std::string_view bytes) {
  for (const std::size_t count : {0U, 1U, 44U, 256U}) {
    if (const auto entries = hallpass::decode_bundle(bytes, count)) {
      const std::string again = hallpass::encode_bundle({entries->begin(), entries->end()});
      require(entries->size() == count && bytes.substr(0, again.size()) == again);
    }
    if (const auto hashes = hallpass::decode_tile(bytes, count)) {
      const std::string again = hallpass::encode_tile(*hashes);
      require(hashes->size() == count && bytes.substr(0, again.size()) == again);
    }
  }
  if (const auto hint = hallpass::parse_epoch_hint(bytes)) {
    const auto again = hallpass::parse_epoch_hint(hallpass::format_epoch_hint(*hint));
    require(again && again->index == hint->index && again->live_from == hint->live_from);
  }
  if (const auto hints = hallpass::parse_policy_hints(bytes)) {
    const auto again = hallpass::parse_policy_hints(hallpass::format_policy_hints(*hints));
    require(again && again->size() == hints->size());
  }
}

struct Known {
  TestLog log;
  std::string note;
  LogPosition position;  // at 256
};

const Known& known() {
  static const Known all = [] {
    Known k;
    k.log.add_some(256);
    const auto first = advance(LogPosition(), k.log.publish(), k.log.trust(), "acme",
                               hallpass::testing::reading(k.log.files), std::nullopt);
    k.position = std::get<LogAdvance>(first).next;
    k.log.add_epoch(0, 0, hallpass::testing::kNow);
    k.log.add_some(43);
    k.note = k.log.publish();
    return k;
  }();
  return all;
}

void check_epoch(std::string_view text) {
  const auto epoch = hallpass::open_epoch(text, "acme", known().log.signer.verifier());
  // The one that was ever signed, or those of the corpus: all spelled as they must be.
  if (epoch) require(hallpass::format_epoch(*epoch, known().log.signer) == text);
  if (epoch) require(hallpass::entry_kind(text) == hallpass::EntryKind::epoch);
}

void check_carrier(std::string_view bytes) {
  const Known& k = known();
  for (const char* path : {"tile/entries/001.p/44", "tile/0/001.p/44", "tile/1/000.p/1"}) {
    hallpass::testing::Files files = k.log.files;
    files[path] = bytes;
    // The entries are wrong in one byte: only their tiles tell by whose fault.
    if (path[5] != 'e') files["tile/entries/001.p/44"].back() ^= 1;
    const auto result =
        advance(k.position, k.note, k.log.trust(), "acme", hallpass::testing::reading(files), std::nullopt);
    const auto* refusal = std::get_if<LogRefusal>(&result);
    require(refusal != nullptr ? !refusal->message.empty() : bytes == k.log.files.at(path));
  }
  const auto head =
      advance(k.position, bytes, k.log.trust(), "acme", hallpass::testing::reading(k.log.files), std::nullopt);
  require(std::holds_alternative<LogRefusal>(head) || std::get<LogAdvance>(head).head.checkpoint.size == 300);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = hallpass::as_text({data, size});
  check_names(text);
  check_encodings(text);
  check_epoch(text);
  check_carrier(text);
  return 0;
}
