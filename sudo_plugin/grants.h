// Which of a session's grants covers a wish, and when none does, which came nearest.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/values/command.h"
#include "host/session.h"
#include "host/snapshot_reader.h"
#include "sudo_plugin/path_check.h"
#include "sudo_plugin/wish.h"

namespace hallpass {

// A grant of the session's subject that is open now, as long as the callback runs.
using EachGrant = std::function<bool(const AdmissionView&)>;

// Calls `each` for them. A shared account's count only where the runbook says shared_sudo. Returns how many records
// were damaged.
int grants_of(const SnapshotReader& store, const Session& session, UnixTime now, const EachGrant& each);

// The clock that decides; nullopt: this host admits nobody before its clock is synchronised, and it is not.
std::optional<UnixTime> deciding_time(const SnapshotReader& store, const ClockReading& clock);

// What the sudo at hand can do.
struct Abilities {
  bool intercept = false;  // 1.9.8: sub-commands can be checked
  bool trace = false;      // 1.9.11: also those of programs that are linked statically
};

// A command of a grant that covers a wish. Owns its strings.
struct Cover {
  Digest grant;
  std::string id, runbook, reason, ticket;
  std::vector<std::string> approvers;
  UnixTime end{};
  Command command;
  std::vector<Command> others;  // of the same grant: what sub-commands may be, when command.subcommands is check
};

// How near a command came that does not cover, best last.
struct Miss {
  enum class What { nothing, kind, argument, program, environment, group, user, ability, changeable };
  What what = What::nothing;
  std::size_t index = 0;  // argument: which one, from 0
  bool count = false;     // argument: there are too few or too many
  std::size_t fits = 0;   // argument: so many from the first on are right
  std::string id, runbook;
  UnixTime end{};
  Command command;
  std::string changeable;  // changeable: what is wrong with the way to the program
  bool nearer_than(const Miss& other) const;
};

struct Search {
  std::optional<Cover> cover;  // the one that ends last
  Miss miss;
  int grants = 0;   // open now
  int damaged = 0;  // records skipped
};

class Matcher {
 public:
  Matcher(const Wish& wish, const Session& session, const Abilities& abilities, const Files& files);
  // Whether the command covers the wish; if not, how near it came.
  bool covers(const Command& command, Miss& miss) const;
  Search search(const SnapshotReader& store, UnixTime now) const;

 private:
  bool names_program(const Command& command) const;
  bool covers_run(const Command& command, Miss& miss) const;
  bool covers_edit(const Command& command, Miss& miss) const;
  void look_at(const AdmissionView& grant, Search& search) const;
  bool worth_a_look(const CommandList& commands, std::size_t i) const;

  const Wish& wish_;
  const Session& session_;
  const Abilities& abilities_;
  const Files& files_;
  std::vector<std::string> shells_;
  std::string name_;  // last component of what was typed
};

}  // namespace hallpass
