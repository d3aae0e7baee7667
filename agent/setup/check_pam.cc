// Hallpass's lines in PAM's files: all there, in their places, and nowhere else. docs/operations.md, "PAM".
#include <fcntl.h>
#include <glob.h>

#include <algorithm>

#include "agent/setup/check_facts.h"
#include "core/edge/files.h"

namespace hallpass {
namespace {

constexpr char kFile[] = "/etc/pam.d/sshd";
constexpr char kModule[] = "pam_hallpass.so";
constexpr char kExample[] = "as in /usr/share/hallpass/pam/sshd.example, or `hallpass host enable`";

struct Ours {
  int account = -1, session = -1, post = -1;
};

Ours find_ours(const std::vector<PamLine>& lines) {
  Ours ours;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].is_module(kModule)) continue;
    int& which = lines[i].type == "account" ? ours.account : lines[i].has("post") ? ours.post : ours.session;
    if (which < 0 && (lines[i].type == "account" || lines[i].type == "session")) which = static_cast<int>(i);
  }
  return ours;
}

std::string at(const PamLine& line) {
  return line.file + ":" + std::to_string(line.line);
}

int first_of(const std::vector<PamLine>& lines, std::string_view type, std::string_view module,
             std::string_view with = {}) {
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].type == type && lines[i].is_module(module) && (with.empty() || lines[i].has(with)))
      return static_cast<int>(i);
  }
  return -1;
}

void check_missing(const Ours& ours, Findings& found) {
  std::vector<std::string> missing;
  if (ours.account < 0) missing.emplace_back("\"account required pam_hallpass.so\"");
  if (ours.session < 0) missing.emplace_back("\"session requisite pam_hallpass.so\"");
  if (ours.post < 0) missing.emplace_back("\"session required pam_hallpass.so post\"");
  if (!missing.empty())
    found.error("pam_lines_missing", kFile, "lacks " + listed(missing) + ": grants are not asked for there",
                std::string("put them in, ") + kExample);
}

void check_controls(const std::vector<PamLine>& lines, const Ours& ours, Findings& found) {
  for (const int index : {ours.account, ours.session, ours.post}) {
    if (index < 0) continue;
    const PamLine& line = lines[static_cast<std::size_t>(index)];
    // Else pam_systemd, which comes later, makes a session for somebody who is refused.
    const bool first_session = index == ours.session;
    if (line.control == "requisite" || (line.control == "required" && !first_session)) continue;
    found.error("pam_control", at(line), "\"" + line.control + "\" lets in whom hallpass refuses, or half-way",
                std::string("let it be ") + (first_session ? "\"requisite\"" : "\"required\""));
  }
}

// nullptr: it stands where it should.
const char* misplaced(const std::vector<PamLine>& lines, const Ours& ours, int index) {
  const int systemd = first_of(lines, "session", "pam_systemd.so");
  const int loginuid = first_of(lines, "session", "pam_loginuid.so");
  const int env = first_of(lines, "session", "pam_env.so", "user_readenv=1");
  if (index == ours.session && systemd >= 0 && systemd < index)
    return "stands after pam_systemd, too late for the time limit";
  if (index == ours.session && loginuid > index)
    return "stands before pam_loginuid, so that the session has no audit id yet";
  if (index == ours.post && systemd > index) return "stands before pam_systemd, so that there is no session yet";
  if (index == ours.post && systemd < 0) return "needs a session of pam_systemd, which is not in the stack";
  if (index == ours.post && env >= 0 && env < index)
    return "stands after pam_env, which lets users change what it reads";
  return nullptr;
}

void check_order(const std::vector<PamLine>& lines, const Ours& ours, Findings& found) {
  for (const int index : {ours.account, ours.session, ours.post}) {
    if (index < 0) continue;
    const PamLine& line = lines[static_cast<std::size_t>(index)];
    const char* wrong = misplaced(lines, ours, index);
    const int before = bypassed_by(lines, static_cast<std::size_t>(index));
    if (wrong != nullptr) {
      found.error("pam_order", at(line), wrong, std::string("move it, ") + kExample);
    } else if (before >= 0) {
      const PamLine& other = lines[static_cast<std::size_t>(before)];
      found.error("pam_order", at(line),
                  "can be passed over by " + at(other) + " (" + other.control + " " + other.module + ")",
                  std::string("move it before that line, ") + kExample);
    }
  }
}

void check_modes(const std::vector<PamLine>& lines, const Ours& ours, Findings& found) {
  int observing = 0, all = 0;
  for (const int index : {ours.account, ours.session, ours.post}) {
    if (index < 0) continue;
    ++all;
    observing += lines[static_cast<std::size_t>(index)].has("mode=observe") ? 1 : 0;
  }
  if (observing > 0 && observing < all)
    found.error(
        "pam_modes_mixed", kFile,
        "some of hallpass's lines have mode=observe and some do not: who is refused by one is let in by another",
        "write it on all three, or on none");
}

void check_module_file(const HostFacts& facts, const std::vector<PamLine>& lines, const Ours& ours, Findings& found) {
  const int any = std::max({ours.account, ours.session, ours.post});
  if (any < 0) return;
  const PamLine& line = lines[static_cast<std::size_t>(any)];
  const std::string& module = line.module;
  std::vector<std::string> patterns = {module};
  if (module.front() != '/')
    patterns = {"/lib/security/" + module, "/lib64/security/" + module, "/lib/*/security/" + module,
                "/usr/lib/*/security/" + module, "/usr/lib/security/" + module};
  for (const std::string& pattern : patterns) {
    glob_t paths{};
    const bool there = glob(facts.layout.at(pattern).c_str(), 0, nullptr, &paths) == 0;
    globfree(&paths);
    if (there) return;
  }
  found.error("pam_module_missing", at(line), module + " is not installed: PAM refuses everybody who comes by ssh",
              "install the package again, or take hallpass out: `hallpass host disable`");
}

void check_elsewhere(const HostFacts& facts, Findings& found) {
  for (const std::string& service : names_in(facts.layout.at("/etc/pam.d"))) {
    const std::string path = "/etc/pam.d/" + service;
    // What packages and editors leave beside a file is nobody's service.
    if (path == kFile || service.find_first_of(".~") != std::string::npos) continue;
    const auto text = read_file(AT_FDCWD, facts.layout.at(path), std::size_t{256} * 1024, true);
    if (!text) continue;
    for (const ConfigLine& line : split_config(*text)) {
      if (line.text.find(kModule) == std::string::npos) continue;
      found.warning("pam_elsewhere", path + ":" + std::to_string(line.number),
                    "names hallpass, which belongs to sshd's file alone: once the module is missing, this service "
                    "refuses everybody too",
                    "take the line out");
      break;
    }
  }
}

}  // namespace

void check_pam(const HostFacts& facts, Findings& found) {
  check_elsewhere(facts, found);
  if (!facts.on()) return;
  const Ours ours = find_ours(facts.pam);
  check_missing(ours, found);
  check_controls(facts.pam, ours, found);
  check_order(facts.pam, ours, found);
  check_modes(facts.pam, ours, found);
  check_module_file(facts, facts.pam, ours, found);
}

}  // namespace hallpass
