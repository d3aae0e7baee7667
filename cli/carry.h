// Grants carried by hand: this program's user hands them in on a host, by their own ssh, to hallpass-drop
// (docs/operations.md, "Carried grants").
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/grants.h"
#include "core/statement.h"

namespace hallpass::cli {

inline constexpr const char* kDropAccount = "hallpass-drop";

struct Route {
  std::string host;  // as ssh knows it
  std::string user = kDropAccount;
  std::vector<std::string> ssh_options;  // each as ssh's -o takes it
};

struct Carried {
  enum class State {
    taken,        // and read by the host's agent
    waiting,      // safely on the host; its agent has not read it yet
    refused,      // by hallpass-drop, which said why on stderr
    unavailable,  // the host runs no hallpass-drop, or that could not write
    unreachable,  // ssh did not get in; it said why on stderr
  };
  State state = State::taken;
  int status = 0;                   // ssh's
  std::vector<std::string> answer;  // the host's words, printable
  std::size_t statements = 0, proofs = 0;
};
std::string_view to_string(Carried::State state);

// What a host needs to judge these grants, no statement twice, revocations first: each grant's own statements, and the
// revocations of its subject and of keys that matter to it.
std::vector<Statement> to_carry(const Workspace& workspace, std::span<const Digest> grants);

// One or more runs of ssh, each with as much as hallpass-drop takes at once; ends with the first that is not done.
// ssh asks for passphrases, PINs and touches as ever. Where no proofs can be had, a warning says so. Error:
// unavailable (no ssh).
Result<Carried> carry(Context& context, const Workspace& workspace, const Route& route,
                      std::span<const Statement> statements);

// One sentence about what did not work and what to do; empty when it did.
std::string trouble(const Carried& carried, const Route& route);

// After a statement was published: carries to the configuration's `deliver` what has come of it. A grant goes there
// when it is active, will be without anybody's doing, or is over, and only to hosts that it may mean. What fails is a
// warning, with what to type: the statement itself is published.
void deliver_carried(Context& context, const Workspace& workspace, const Grant& grant);
void deliver_carried(Context& context, const Workspace& workspace, const Statement& revocation);

}  // namespace hallpass::cli
