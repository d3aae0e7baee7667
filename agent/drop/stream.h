// What comes in on standard input: lines of grant files, and proofs that statements are in a log. hallpass-drop(8),
// "INPUT".
//
// Nothing is verified here, for that is the agent's work: this only keeps junk out, so that who typed the wrong thing
// hears of it at once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/values/result.h"

namespace hallpass::drop {

inline constexpr std::size_t kMaxStreamBytes = std::size_t{1024} * 1024;
inline constexpr std::size_t kMaxDocuments = 64;

struct Documents {
  std::vector<std::string> statements;  // envelopes, without newline
  std::vector<std::string> proofs;      // whole texts, each line with its newline
  std::size_t count() const { return statements.size() + proofs.size(); }
};

// A line that begins with `{` is a statement. The line c2sp.org/tlog-proof@v1 begins a proof, which lasts until the
// next such line or statement. Empty lines between statements are skipped; all else is refused. Errors: malformed (with
// the line's number), too_large (over kMaxStreamBytes, or over kMaxDocuments).
Result<Documents> split_stream(std::string_view stream);

}  // namespace hallpass::drop
