#include "core/policy_risks.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "core/values/pattern.h"

namespace hallpass {
namespace {

enum class Kind {
  starter,  // starts programs of the user's choice while it runs; NOEXEC stops that
  editor,   // writes any file as well: NOEXEC is not enough
  shell,    // does everything by itself
  options,  // only by its arguments: harmless where each of them is fixed
  wrapper,  // the same, and one of its arguments is a program of its own
};

struct Program {
  std::string_view name;
  Kind kind;
  std::string_view what;  // completes "NAME ..."
};

// Sources: the programs' manuals, GTFOBins. A list that warns, not one that protects.
constexpr Program kPrograms[] = {
    {"less", Kind::starter, "starts a shell (!) and an editor (v)"},
    {"more", Kind::starter, "starts a shell (!) and an editor (v)"},
    {"most", Kind::starter, "starts an editor (e)"},
    {"man", Kind::starter, "shows its pages in a pager, which starts a shell (!)"},
    {"info", Kind::starter, "starts programs (|)"},
    {"top", Kind::starter, "writes its configuration file, which can start programs"},
    {"git", Kind::starter, "starts pagers, editors, hooks and aliases that the repository's configuration names"},
    {"make", Kind::starter, "runs whatever its Makefile says"},
    {"ftp", Kind::starter, "starts a shell (!)"},
    {"sftp", Kind::starter, "starts a shell (!) and writes any file"},
    {"telnet", Kind::starter, "starts a shell (!)"},
    {"psql", Kind::starter, "starts a shell (\\!) and writes files (\\o)"},
    {"mysql", Kind::starter, "starts a shell (\\!)"},
    {"mariadb", Kind::starter, "starts a shell (\\!)"},
    {"sqlite", Kind::starter, "starts a shell (.shell) and writes files (.output)"},
    {"gdb", Kind::starter, "starts a shell and changes any process"},
    {"mutt", Kind::starter, "starts a shell (!)"},
    {"mail", Kind::starter, "starts a shell (~!)"},
    {"nmtui", Kind::starter, "starts an editor"},
    {"ed", Kind::editor, "starts a shell (!) and writes any file"},
    {"ex", Kind::editor, "starts a shell (:!) and writes any file"},
    {"vi", Kind::editor, "starts a shell (:!) and writes any file"},
    {"vim", Kind::editor, "starts a shell (:!) and writes any file"},
    {"vim.basic", Kind::editor, "starts a shell (:!) and writes any file"},
    {"vim.tiny", Kind::editor, "starts a shell (:!) and writes any file"},
    {"view", Kind::editor, "starts a shell (:!) and writes any file"},
    {"nvim", Kind::editor, "starts a shell (:!) and writes any file"},
    {"nano", Kind::editor, "starts programs (^T) and writes any file"},
    {"pico", Kind::editor, "starts programs and writes any file"},
    {"joe", Kind::editor, "starts a shell and writes any file"},
    {"emacs", Kind::editor, "starts a shell (M-!) and writes any file"},
    {"mcedit", Kind::editor, "starts programs and writes any file"},
    {"mc", Kind::editor, "starts programs and writes any file"},
    {"visudo", Kind::editor, "starts an editor and changes who may do what"},
    {"vipw", Kind::editor, "starts an editor and changes who has which account"},
    {"sh", Kind::shell, "is a shell"},
    {"bash", Kind::shell, "is a shell"},
    {"rbash", Kind::shell, "is a shell, and its restrictions are easily left"},
    {"dash", Kind::shell, "is a shell"},
    {"zsh", Kind::shell, "is a shell"},
    {"ksh", Kind::shell, "is a shell"},
    {"fish", Kind::shell, "is a shell"},
    {"csh", Kind::shell, "is a shell"},
    {"tcsh", Kind::shell, "is a shell"},
    {"busybox", Kind::shell, "is a shell and every other tool"},
    {"su", Kind::shell, "starts a shell as anybody"},
    {"sudo", Kind::shell, "starts programs as anybody"},
    {"runuser", Kind::shell, "starts programs as anybody"},
    {"screen", Kind::shell, "starts a shell, which outlives the session"},
    {"tmux", Kind::shell, "starts a shell, which outlives the session"},
    {"nsenter", Kind::shell, "starts a shell"},
    {"unshare", Kind::shell, "starts a shell"},
    {"chroot", Kind::shell, "starts a shell"},
    {"script", Kind::shell, "starts a shell"},
    {"crontab", Kind::shell, "installs programs to be run later"},
    {"at", Kind::shell, "installs programs to be run later"},
    {"batch", Kind::shell, "installs programs to be run later"},
    {"systemd-run", Kind::shell, "starts programs outside the session"},
    {"python", Kind::options, "runs any program text"},
    {"perl", Kind::options, "runs any program text"},
    {"ruby", Kind::options, "runs any program text"},
    {"node", Kind::options, "runs any program text"},
    {"lua", Kind::options, "runs any program text"},
    {"php", Kind::options, "runs any program text"},
    {"tclsh", Kind::options, "runs any program text"},
    {"expect", Kind::options, "runs any program text"},
    {"awk", Kind::options, "starts programs (system) and writes any file"},
    {"gawk", Kind::options, "starts programs (system) and writes any file"},
    {"mawk", Kind::options, "starts programs (system) and writes any file"},
    {"sed", Kind::options, "starts programs (e) and writes any file (w, -i)"},
    {"find", Kind::options, "starts programs (-exec), deletes and writes files"},
    {"tar", Kind::options, "starts programs (--checkpoint-action, -I) and writes any file"},
    {"cpio", Kind::options, "writes any file"},
    {"zip", Kind::options, "starts programs (-TT)"},
    {"unzip", Kind::options, "writes any file"},
    {"rsync", Kind::options, "starts programs (-e) and writes any file"},
    {"ssh", Kind::options, "starts programs (ProxyCommand)"},
    {"scp", Kind::options, "starts programs (-S) and writes any file"},
    {"tcpdump", Kind::options, "starts programs (-z) and writes any file (-w)"},
    {"nmap", Kind::options, "runs scripts (--script) and writes any file"},
    {"openssl", Kind::options, "reads and writes any file and loads engines"},
    {"curl", Kind::options, "reads and writes any file"},
    {"wget", Kind::options, "starts programs (--use-askpass) and writes any file"},
    {"docker", Kind::options, "mounts the host's files into containers"},
    {"podman", Kind::options, "mounts the host's files into containers"},
    {"ctr", Kind::options, "mounts the host's files into containers"},
    {"lxc", Kind::options, "mounts the host's files into containers"},
    {"kubectl", Kind::options, "starts programs in containers, and plugins"},
    {"apt", Kind::options, "runs package scripts as root"},
    {"apt-get", Kind::options, "runs package scripts as root, and any program by -o"},
    {"dpkg", Kind::options, "runs package scripts as root"},
    {"dnf", Kind::options, "runs package scripts as root"},
    {"yum", Kind::options, "runs package scripts as root"},
    {"rpm", Kind::options, "runs package scripts as root"},
    {"snap", Kind::options, "installs programs"},
    {"pip", Kind::options, "runs package scripts"},
    {"npm", Kind::options, "runs package scripts"},
    {"gem", Kind::options, "runs package scripts"},
    {"mount", Kind::options, "puts any filesystem anywhere"},
    {"modprobe", Kind::options, "loads code into the kernel"},
    {"insmod", Kind::options, "loads code into the kernel"},
    {"sysctl", Kind::options, "changes the kernel, up to the program it starts on a crash"},
    {"cp", Kind::options, "writes any file"},
    {"mv", Kind::options, "writes any file"},
    {"ln", Kind::options, "points any path elsewhere"},
    {"dd", Kind::options, "writes any file or disk"},
    {"tee", Kind::options, "writes any file"},
    {"install", Kind::options, "writes any file with any mode"},
    {"chmod", Kind::options, "opens any file to anybody"},
    {"chown", Kind::options, "gives any file to anybody"},
    {"setfacl", Kind::options, "opens any file to anybody"},
    {"setcap", Kind::options, "gives any program root's powers"},
    {"useradd", Kind::options, "makes accounts, root's equals too"},
    {"usermod", Kind::options, "changes any account"},
    {"passwd", Kind::options, "changes anybody's password"},
    {"env", Kind::wrapper, "starts any program"},
    {"xargs", Kind::wrapper, "starts any program"},
    {"nice", Kind::wrapper, "starts any program"},
    {"ionice", Kind::wrapper, "starts any program"},
    {"nohup", Kind::wrapper, "starts any program"},
    {"setsid", Kind::wrapper, "starts any program"},
    {"stdbuf", Kind::wrapper, "starts any program"},
    {"taskset", Kind::wrapper, "starts any program"},
    {"timeout", Kind::wrapper, "starts any program"},
    {"time", Kind::wrapper, "starts any program"},
    {"watch", Kind::wrapper, "starts any program"},
    {"flock", Kind::wrapper, "starts any program"},
    {"strace", Kind::wrapper, "starts any program and writes any file"},
    {"ltrace", Kind::wrapper, "starts any program and writes any file"},
    {"parallel", Kind::wrapper, "starts any program"},
    {"start-stop-daemon", Kind::wrapper, "starts any program"},
    {"run-parts", Kind::wrapper, "starts any program"},
    {"socat", Kind::wrapper, "starts any program"},
    {"nc", Kind::options, "starts programs (-e) and carries data out"},
    {"ip", Kind::options, "starts programs (netns exec)"},
    {"sort", Kind::options, "starts programs (--compress-program) and writes any file (-o)"},
    {"certbot", Kind::options, "runs hooks (--deploy-hook and others)"},
    {"nginx", Kind::options, "loads code that a configuration names (-c, -g)"},
    {"nft", Kind::options, "reads any file (-f) and changes the firewall"},
};

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

std::string_view without_version(std::string_view name) {
  const std::size_t end = name.find_last_not_of("0123456789.-");
  return end == std::string_view::npos ? name : name.substr(0, end + 1);
}

// Asks the pattern language itself what an argument may be; any path is taken for allowed.
class AnyPath : public PathCheck {
 public:
  bool allows(std::string_view, std::string_view) const override { return true; }
};

// The verb is the first argument that is no option.
bool verb_may_be(const Command& command, std::string_view word) {
  const auto verb = std::find_if(command.arguments.begin(), command.arguments.end(),
                                 [](const std::string& text) { return text.empty() || text.front() != '-'; });
  if (verb == command.arguments.end()) return false;
  const auto token = parse_token(*verb);
  if (!token) return false;
  const std::array<std::string_view, 1> argument{word};
  return match_arguments(ArgumentPattern{{*token}}, argument, AnyPath());
}

bool is_fixed(const std::string& text) {
  const auto token = parse_token(text);
  if (!token) return false;
  if (std::holds_alternative<TokenInt>(*token) || std::holds_alternative<TokenEmpty>(*token)) return true;
  const auto* glob = std::get_if<TokenGlob>(&*token);
  return glob != nullptr && std::none_of(glob->pieces.begin(), glob->pieces.end(),
                                         [](const PatternPiece& p) { return std::holds_alternative<PatternStar>(p); });
}

// What everybody runs every day: told apart by their arguments, or the warning would be read past.
std::optional<Risk> systemd_risk(std::string_view name, const Command& command) {
  if (name == "systemctl" && verb_may_be(command, "edit")) {
    return Risk{"systemctl edit starts an editor and changes what root runs",
                "name the other verbs: \"{status,restart}\""};
  }
  const bool no_pager =
      std::find(command.arguments.begin(), command.arguments.end(), "--no-pager") != command.arguments.end();
  if (no_pager || command.subcommands != Subcommands::allow) return std::nullopt;
  constexpr std::string_view kPaged[] = {
      "status", "show", "cat", "list-units", "list-unit-files", "list-timers", "list-dependencies", "help"};
  const bool paged = name == "journalctl" || command.arguments.empty() ||
                     std::any_of(std::begin(kPaged), std::end(kPaged),
                                 [&](std::string_view verb) { return verb_may_be(command, verb); });
  if (!paged) return std::nullopt;
  return Risk{std::string(name) + " shows long output in a pager, which can start a shell",
              "add \"--no-pager\" to its arguments, or write subcommands = \"deny\""};
}

std::string cure_for(Kind kind) {
  switch (kind) {
    case Kind::starter:
      return "write subcommands = \"deny\", or \"check\"";
    case Kind::editor:
      return "use edit = [\"/path/of/the/file\"] instead of an editor as root";
    case Kind::shell:
      return "name the commands that are needed, or say run = \"shell\" openly";
    case Kind::options:
    case Kind::wrapper:
      return "write every argument out, with {a,b} and <int:LO..HI> instead of patterns";
  }
  std::abort();
}

const Program* known_program(std::string_view name) {
  const auto program = std::find_if(std::begin(kPrograms), std::end(kPrograms), [&](const Program& p) {
    return p.name == name || p.name == without_version(name);
  });
  return program == std::end(kPrograms) ? nullptr : program;
}

// `timeout 5 bash` has fixed arguments and is a shell all the same.
std::optional<Risk> wrapped_risk(std::string_view wrapper, const Command& command) {
  for (const std::string& argument : command.arguments) {
    const Program* program = known_program(base_name(argument));
    if (program == nullptr || program->kind == Kind::options || program->kind == Kind::wrapper) continue;
    if (program->kind == Kind::starter && command.subcommands != Subcommands::allow) continue;
    return Risk{
        std::string(wrapper) + " starts " + std::string(program->name) + ", which " + std::string(program->what),
        cure_for(program->kind)};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Risk> risk_of(const Command& command) {
  for (const std::string& path : command.executables) {
    const std::string_view name = base_name(path);
    if (name == "systemctl" || name == "journalctl") {
      if (auto risk = systemd_risk(name, command)) return risk;
      continue;
    }
    const Program* program = known_program(name);
    if (program == nullptr) continue;
    if (program->kind == Kind::starter && command.subcommands != Subcommands::allow) continue;
    const bool fixed =
        !command.arguments.empty() && std::all_of(command.arguments.begin(), command.arguments.end(), is_fixed);
    if (program->kind == Kind::wrapper && fixed) {
      if (auto risk = wrapped_risk(name, command)) return risk;
    }
    if ((program->kind == Kind::options || program->kind == Kind::wrapper) && fixed) continue;
    return Risk{std::string(name) + " " + std::string(program->what), cure_for(program->kind)};
  }
  return std::nullopt;
}

}  // namespace hallpass
