#include "cli/proofs.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "core/log/merkle.h"
#include "core/log/tile_reader.h"
#include "core/log/tiles.h"

namespace hallpass::cli {
namespace {

// Where in the log each of these is, as far as our copy goes back. The newest bundles come first.
Result<std::map<std::string, std::uint64_t>> find_entries(HubMirror& mirror, const HubMirror::Head& head,
                                                          std::span<const Statement> statements) {
  std::map<std::string, std::uint64_t> found;
  std::size_t missing = statements.size();
  for (std::uint64_t end = head.size; end > head.read_from && missing > 0;) {
    const std::uint64_t begin = std::max((end - 1) / kTileWidth * kTileWidth, head.read_from);
    const auto entries = log_entries(mirror, head, begin, end);
    if (!entries) return entries.error();
    for (const LogEntry& entry : entries.value()) {
      const bool asked = std::any_of(statements.begin(), statements.end(),
                                     [&](const Statement& s) { return s.envelope() == entry.bytes; });
      if (asked && found.emplace(entry.bytes, entry.index).second) --missing;
    }
    end = begin;
  }
  return found;
}

// Nobody is handed a proof that does not hold.
Status check(const HubMirror& mirror, const LogProof& proof, const Checkpoint& head) {
  if (!verify_inclusion(proof.index, head.size, leaf_hash(as_bytes(proof.entry)), proof.hashes, head.root)) {
    return Error{Errc::mismatch,
                 fmt::format("the log's files do not prove entry {}: `hallpass log verify` says more", proof.index)};
  }
  if (!mirror.verifies()) return Unit{};
  const auto index = verify_proof(proof, *mirror.trust()->log);
  if (!index) return index.error();
  return Unit{};
}

}  // namespace

Result<Checkpoint> checkpoint_of(std::string_view note) {
  const std::size_t end = note.rfind("\n\n");
  if (end == std::string_view::npos) return Error{Errc::malformed, "the checkpoint is no signed note"};
  return parse_checkpoint(note.substr(0, end + 1));
}

Result<std::vector<LogEntry>> log_entries(HubMirror& mirror, const HubMirror::Head& head, std::uint64_t from,
                                          std::uint64_t to) {
  TileReader reader(mirror.files(), head.size);
  std::vector<LogEntry> out;
  for (std::uint64_t i = from / kTileWidth; from < to && i <= (to - 1) / kTileWidth; ++i) {
    const auto bundle = reader.bundle(i);
    if (!bundle) return bundle.error();
    const auto entries = decode_bundle(bundle->bytes, bundle->count);
    if (!entries) return entries.error();
    std::uint64_t index = i * kTileWidth;
    for (const std::string_view entry : entries.value()) {
      if (index >= from && index < to) out.push_back({index, std::string(entry)});
      ++index;
    }
  }
  return out;
}

Result<std::vector<StatementProof>> prove(Context& context, std::span<const Statement> statements) {
  std::vector<StatementProof> out;
  if (!context.on_hub()) return out;
  const auto mirror = context.hub();
  if (!mirror) return mirror.error();
  const auto head = mirror.value()->head();
  if (!head) return out;
  const auto checkpoint = checkpoint_of(head->note);
  if (!checkpoint) return checkpoint.error();
  const auto indexes = find_entries(*mirror.value(), *head, statements);
  if (!indexes) return indexes.error();
  TileReader reader(mirror.value()->files(), head->size);
  for (const Statement& s : statements) {
    const auto index = indexes->find(s.envelope());
    if (index == indexes->end()) continue;
    auto hashes = reader.inclusion_proof(index->second);
    if (!hashes) return hashes.error();
    const LogProof proof{s.envelope(), index->second, std::move(hashes).value(), head->note};
    if (const auto holds = check(*mirror.value(), proof, checkpoint.value()); !holds) return holds.error();
    out.push_back({s, index->second, head->size, format_proof(proof)});
  }
  return out;
}

Result<std::vector<std::string>> proofs_for(Context& context, const Workspace& /*workspace*/,
                                            std::span<const Statement> statements) {
  auto proofs = prove(context, statements);
  if (!proofs) return proofs.error();
  std::vector<std::string> out;
  for (StatementProof& p : proofs.value()) out.push_back(std::move(p.text));
  return out;
}

}  // namespace hallpass::cli
