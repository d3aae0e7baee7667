// Configuration files: TOML as such, and trust.toml.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "core/policy_trust.h"
#include "core/toml.h"

namespace {

using namespace hallpass;

void demand(bool condition) {
  if (!condition) std::abort();
}

// The depth that the tree's users may recurse to.
int depth(const Toml& value) {
  int deepest = 0;
  if (const TomlArray* array = value.as_array()) {
    for (const Toml& element : *array) deepest = std::max(deepest, depth(element));
  }
  if (const TomlTable* table = value.as_table()) {
    for (const auto& [name, element] : *table) deepest = std::max(deepest, depth(element));
  }
  return deepest + 1;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<Diagnostic> found;
  const auto tree = parse_toml(text, found);
  demand(tree.has_value() != has_errors(found));
  if (tree) {
    demand(tree->as_table() != nullptr && depth(*tree) < 1000);
    for (const auto& [name, value] : *tree->as_table()) {
      const std::string* s = value.as_string();
      if (s == nullptr) continue;
      const auto back = parse_toml("a = " + toml_quote(*s), found);
      demand(back && *back->as_table()->front().second.as_string() == *s);
    }
  }
  found.clear();
  const auto trust = parse_trust(text, found);
  demand(trust.has_value() != has_errors(found));
  if (trust)
    demand(trust->admins.threshold >= 1 && trust->admins.threshold <= static_cast<int>(trust->admins.people.size()));
  for (const Diagnostic& d : found) {
    for (const char c : format_diagnostic("trust.toml", d)) demand(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
  return 0;
}
