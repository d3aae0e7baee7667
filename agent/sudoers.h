// The site's sudo Defaults and aliases without its privileges, as hallpass_sudo.so puts them before a grant's commands:
// paths::kSudoDefaults, root's, 0400, replaced by rename. Made from /etc/sudoers by sudo's own cvtsudoers, checked by
// visudo before it stands, made again when any file of sudoers has changed.
//
// When it cannot be made there is none, because an old one would carry Defaults that the site has changed meanwhile: no
// grant gives sudo then, and sudo's own rules decide. Where there is no sudo there is none either, and nothing is
// wrong.
//
// It starts no program itself: the owner asks for next(), runs it without waiting, and hands back what came of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/journal.h"
#include "agent/program.h"
#include "agent/sudoers_files.h"
#include "core/json.h"

namespace hallpass {

class SudoDefaults {
 public:
  struct Where {
    std::string sudoers, defaults;
    std::string cvtsudoers = "/usr/bin/cvtsudoers", visudo = "/usr/sbin/visudo";
    uid_t owner = 0;
  };
  enum class State { unknown, absent, preparing, ready, unusable };

  SudoDefaults(Where where, Journal& journal);
  ~SudoDefaults();
  SudoDefaults(const SudoDefaults&) = delete;
  SudoDefaults& operator=(const SudoDefaults&) = delete;

  // Readable when a file may have changed; -1: only look() notices.
  int notify_fd() const { return inotify_; }
  void read_notifications();
  // Looks at owner, times and size of every file; a change asks for programs to be run.
  void look();

  // What must run now, if anything; asked again only after ended().
  std::optional<Program> next();
  void ended(const ProgramEnd& end);
  // What runs reads files that have changed since: it may as well be killed, and then ended() be called.
  bool outdated() const { return outdated_; }

  State state() const { return state_; }
  const std::string& why() const { return why_; }  // absent, unusable
  Json status() const;

 private:
  enum class Step { none, convert, check };
  void watch();
  void converted(const ProgramEnd& end);
  void checked(const ProgramEnd& end);
  void install();
  bool stands() const;
  void without(State state, std::string why);
  std::string remove_file() const;
  void changed();

  Where where_;
  Journal& journal_;
  int inotify_ = -1;
  std::vector<int> watches_;
  SudoersSurvey seen_;
  State state_ = State::unknown;
  Step step_ = Step::none;
  bool running_ = false, outdated_ = false;
  bool again_ = false;  // what failed was the machine, not the text
  std::string text_, why_;
};

// The first line that is neither Defaults nor alias nor comment: cvtsudoers was told to leave rules out, and what it
// wrote would come before a grant's commands. nullopt: none.
std::optional<std::string> line_that_is_a_rule(std::string_view sudoers);

}  // namespace hallpass
