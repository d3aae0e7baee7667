// What people hand in over ssh: whatever comes, what is taken is what came, no more than may be, and comes apart the
// same way again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "agent/drop/stream.h"
#include "core/log/checkpoint.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::drop;  // NOLINT(google-build-using-namespace)

void demand(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view stream(reinterpret_cast<const char*>(data), size);
  const auto documents = split_stream(stream);
  if (!documents) {
    demand(!documents.error().message.empty());
    return 0;
  }
  demand(documents->count() > 0 && documents->count() <= kMaxDocuments && size <= kMaxStreamBytes);
  std::string again;
  for (const std::string& s : documents->statements) {
    demand(s.starts_with('{') && s.find('\n') == std::string::npos && stream.find(s) != std::string_view::npos);
    again += s + '\n';
  }
  for (const std::string& p : documents->proofs) {
    demand(p.starts_with(kProofMagic) && p.ends_with('\n') && stream.find(p) != std::string_view::npos);
    again += p;
  }
  const auto second = split_stream(again);
  demand(second && second->statements == documents->statements && second->proofs == documents->proofs);
  return 0;
}
