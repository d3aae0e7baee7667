// Names of environment variables in env_keep.
#include <algorithm>
#include <iterator>

#include "core/policy_parse.h"

namespace hallpass {
namespace {

// Variables by which a program can be made to run something else: loader, shells, interpreters, editors' and pagers'
// own configuration.
constexpr std::string_view kRefusedPrefixes[] = {"LD_",   "BASH_FUNC_", "PYTHON", "PERL5", "RUBY",
                                                 "NODE_", "SUDO_",      "GCONV_", "_RLD_", "DYLD_"};
constexpr std::string_view kRefusedNames[] = {"PATH",
                                              "IFS",
                                              "ENV",
                                              "BASH_ENV",
                                              "SHELLOPTS",
                                              "BASHOPTS",
                                              "PS4",
                                              "CDPATH",
                                              "GLOBIGNORE",
                                              "PERLLIB",
                                              "PERLIO",
                                              "JAVA_TOOL_OPTIONS",
                                              "_JAVA_OPTIONS",
                                              "CLASSPATH",
                                              "TERMINFO",
                                              "TERMINFO_DIRS",
                                              "TERMCAP",
                                              "TERMPATH",
                                              "LOCALDOMAIN",
                                              "RES_OPTIONS",
                                              "HOSTALIASES",
                                              "NLSPATH",
                                              "PATH_LOCALE",
                                              "TMPPREFIX",
                                              "MALLOC_CONF",
                                              "EDITOR",
                                              "VISUAL",
                                              "PAGER",
                                              "LESSOPEN",
                                              "LESSCLOSE",
                                              "LESS",
                                              "MANPAGER",
                                              "GIT_SSH",
                                              "GIT_SSH_COMMAND",
                                              "GIT_EDITOR",
                                              "GIT_PAGER",
                                              "GIT_EXTERNAL_DIFF",
                                              "GIT_EXEC_PATH",
                                              "SYSTEMD_EDITOR",
                                              "SYSTEMD_PAGER",
                                              "HOME",
                                              "SHELL",
                                              "USER",
                                              "LOGNAME",
                                              "PROMPT_COMMAND",
                                              "OPENSSL_CONF",
                                              "OPENSSL_ENGINES",
                                              "OPENSSL_MODULES",
                                              "GETCONF_DIR",
                                              "ZDOTDIR",
                                              "FPATH",
                                              "NULLCMD",
                                              "READNULLCMD",
                                              "TCLLIBPATH",
                                              "LUA_INIT",
                                              "LUA_PATH",
                                              "LUA_CPATH"};

}  // namespace

bool is_variable_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (name.empty() || name.size() > 64 || !letter(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

bool is_refused_variable(std::string_view name) {
  const auto begins = [&](std::string_view prefix) { return name.substr(0, prefix.size()) == prefix; };
  return std::any_of(std::begin(kRefusedPrefixes), std::end(kRefusedPrefixes), begins) ||
         std::find(std::begin(kRefusedNames), std::end(kRefusedNames), name) != std::end(kRefusedNames);
}

}  // namespace hallpass
