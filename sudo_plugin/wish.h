// What somebody wants of sudo: as typed, before sudoers has looked at it, and as sudoers resolved it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sudo_plugin/front_end.h"

namespace hallpass {

// Programs are looked for here under a grant, whatever the caller's PATH and the site's secure_path.
inline constexpr std::string_view kSecurePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct Wish {
  enum class Mode { none, run, shell, edit };  // none: -v, -k, plain -l, or what no grant can give
  Mode mode = Mode::none;
  std::string user = "root", group;         // -u, -g
  std::string typed;                        // the command as typed
  std::string program;                      // run: the absolute path that is meant; empty: there is none
  std::vector<std::string_view> arguments;  // run: without the program; edit: the files; shell: not looked at
  std::vector<std::string> environment;     // names of variables that the caller wants to pass
  std::string cannot;                       // an option that no grant covers, as typed or named; then mode is none
};

// From what an audit plugin's open gets. The strings stay the front end's.
Wish typed_wish(const Vector& settings, int optind, char* const argv[]);

// The same wish with what sudoers made of it: command_info and the argument vector that will be executed. nullopt:
// sudoers answered with something that cannot be understood, which must not run.
std::optional<Wish> resolved_wish(const Wish& typed, const Vector& command_info, char* const argv[],
                                  char* const run_argv[]);

// For a shell: the paths that count as one for this target user and caller (their shells in passwd, and /bin/sh).
std::vector<std::string> shells_of(const std::string& target, uid_t caller);

}  // namespace hallpass
