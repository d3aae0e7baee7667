// What the programs of the self-test did, and how that is told.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/program.h"

namespace hallpass {

inline constexpr char kInMark[] = "hallpass-selftest-is-in";  // what a session says that was let in

enum class LoginOutcome {
  in,            // it has run what it was told
  told_no,       // refused, with a sentence of hallpass
  refused,       // refused by sshd
  failed_there,  // let in, but the session did not do what it should
  no_answer,     // no sshd, or it hung up before anything was decided
};
// Of ssh, told to run a command that says kInMark.
LoginOutcome outcome_of(const ProgramEnd& ssh);

// "ended with 1: its last words", "did not end within 10 s".
std::string words_of(const ProgramEnd& end);
// The last lines that say something, each safe to print and on a line of its own behind two blanks; empty: none.
std::string cited(std::string_view text, std::size_t most_lines = 8);
// Of a log, the lines that name one of these (case as written).
std::string lines_naming(std::string_view log, const std::vector<std::string_view>& names);

}  // namespace hallpass
