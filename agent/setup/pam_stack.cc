#include "agent/setup/pam_stack.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "agent/setup/config_lines.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr int kMaxDepth = 8;
constexpr std::string_view kOurModule = "pam_hallpass.so";

// One line of a stack, read: type, control, module and its words.
struct Entry {
  std::string type;     // lower case; "@include" for that
  std::string control;  // "required", "include", "[success=1 default=ignore]"
  std::string module;   // its last component; what is included
  std::vector<std::string> words;
  std::size_t line = 0;  // index into the file's lines
  int number = 0;

  bool includes() const { return type == "@include" || control == "include" || control == "substack"; }
};

std::string lowered(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::optional<Entry> read_entry(const ConfigLine& line, std::size_t index) {
  std::vector<std::string> words = words_of(line.text);
  if (words.size() < 2) return std::nullopt;
  Entry entry;
  entry.line = index;
  entry.number = line.number;
  entry.type = lowered(words[0]);
  if (entry.type.starts_with('-')) entry.type.erase(0, 1);
  if (entry.type == "@include") {
    entry.module = words[1];
    return entry;
  }
  std::size_t next = 2;
  entry.control = lowered(words[1]);
  if (words[1].starts_with('[')) {
    while (!entry.control.ends_with(']') && next < words.size()) entry.control += " " + lowered(words[next++]);
  }
  if (next >= words.size()) return std::nullopt;
  entry.module = words[next].substr(words[next].rfind('/') + 1);
  entry.words.assign(words.begin() + static_cast<std::ptrdiff_t>(next) + 1, words.end());
  return entry;
}

std::vector<Entry> read_entries(const std::vector<ConfigLine>& lines) {
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (std::optional<Entry> entry = read_entry(lines[i], i)) entries.push_back(std::move(*entry));
  }
  return entries;
}

// "[success=done default=ignore]": may what stands behind be skipped altogether?
bool may_end(const std::string& control) {
  return control == "sufficient" || control.find("=done") != std::string::npos;
}

// How many of the following modules it may skip: the largest jump.
std::size_t longest_jump(const std::string& control) {
  std::size_t longest = 0;
  for (auto at = control.find('='); at != std::string::npos; at = control.find('=', at + 1)) {
    std::size_t jump = 0;
    for (auto i = at + 1; i < control.size() && std::isdigit(static_cast<unsigned char>(control[i])) != 0; ++i)
      jump = std::min<std::size_t>(jump * 10 + static_cast<std::size_t>(control[i] - '0'), 1000);
    longest = std::max(longest, jump);
  }
  return longest;
}

// Of Debian's @include, which brings lines of every type: the types are in the names.
bool known_include(const std::string& name) {
  return name == "common-auth" || name == "common-account" || name == "common-password" || name == "common-session" ||
         name == "common-session-noninteractive";
}
bool concerns(const Entry& entry, std::string_view type) {
  return entry.type == type || (entry.type == "@include" && entry.module.starts_with("common-" + std::string(type)));
}

struct Session {
  bool systemd = false;  // pam_systemd is reached
  bool ends = false;     // something before it or behind it may end the whole stack
};
Session look_into(const std::string& name, const PamFile& other, int depth) {
  Session found;
  const std::optional<std::string> text = depth > kMaxDepth ? std::nullopt : other(name);
  if (!text) return found;
  for (const Entry& entry : read_entries(split_config(*text))) {
    if (entry.type != "session" && entry.type != "@include") continue;
    if (entry.includes()) {
      const Session inner = look_into(entry.module, other, depth + 1);
      found.systemd = found.systemd || inner.systemd;
      found.ends = found.ends || (inner.ends && entry.control != "substack");
    } else {
      found.systemd = found.systemd || entry.module == "pam_systemd.so";
      found.ends = found.ends || may_end(entry.control);
    }
  }
  return found;
}

Error not_understood(const std::string& what) {
  return {Errc::mismatch,
          "/etc/pam.d/sshd is not laid out as hallpass knows it: " + what +
              ". Nothing was changed. /usr/share/hallpass/pam/sshd.example shows the three lines and where they stand: "
              "mend the file, or put them in by hand (docs/operations.md, \"PAM\")"};
}
std::string line_words(const Entry& entry) {
  return "line " + std::to_string(entry.number) + " (" + printable(entry.type, 20) + " " +
         printable(entry.control, 40) + " " + printable(entry.module, 60) + ")";
}

// Where lines go: before these indices of the file's lines.
struct Places {
  std::size_t account = 0, session = 0, post = 0;
};

// A line put in between would be skipped by a jump, or make it land elsewhere.
Status no_jump_over(const std::vector<Entry>& entries, std::string_view type, std::size_t place) {
  for (std::size_t i = 0; i < entries.size() && entries[i].line < place; ++i) {
    if (entries[i].type != type) continue;
    std::size_t between = 0;
    for (std::size_t k = i + 1; k < entries.size() && entries[k].line < place; ++k)
      between += entries[k].type == type && !entries[k].includes() ? 1U : 0U;
    if (longest_jump(entries[i].control) > between)
      return not_understood(line_words(entries[i]) + " may jump over the place of hallpass's " + std::string(type) +
                            " line");
  }
  return Unit{};
}

Result<std::size_t> account_place(const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    if (entry.type == "@include" && !known_include(entry.module))
      return not_understood(line_words(entry) + " includes a file that may hold anything");
    if (!concerns(entry, "account")) continue;
    if (entry.includes() || may_end(entry.control) || longest_jump(entry.control) > 0) return entry.line;
  }
  return not_understood("it includes no account stack (`@include common-account`, `account include password-auth`)");
}

Status find_session_places(const std::vector<Entry>& entries, const PamFile& other, Places& places) {
  const Entry* loginuid = nullptr;
  for (const Entry& entry : entries) {
    if (entry.type == "session" && entry.module == "pam_loginuid.so" && !entry.includes()) loginuid = &entry;
    if (!concerns(entry, "session")) continue;
    const Session inner = entry.includes() ? look_into(entry.module, other, 0)
                                           : Session{entry.module == "pam_systemd.so", may_end(entry.control)};
    if (inner.systemd && loginuid == nullptr)
      return not_understood("no `session required pam_loginuid.so` stands before " + line_words(entry) +
                            ", which brings pam_systemd");
    if (inner.ends)
      return not_understood(line_words(entry) + " may end the session stack before hallpass's lines are reached");
    if (!inner.systemd) continue;
    places.session = entry.line;
    places.post = entry.line + 1;
    return no_jump_over(entries, "session", places.session);
  }
  return not_understood(
      "pam_systemd.so is not reached, so that no login would have a session that can be ended: install libpam-systemd "
      "and let `pam-auth-update` (or authselect) put it into the session stack");
}

std::string our_line(const char* type, const char* control, const char* post, bool observe) {
  return std::string(type) + control + std::string(kOurModule) + post + (observe ? " mode=observe" : "") + "\n";
}

bool is_ours(const ConfigLine& line) {
  const std::optional<Entry> entry = read_entry(line, 0);
  return entry && entry->type != "@include" && entry->module == kOurModule;
}

// The distribution's own files have none of these; what they mean with ours is for whoever wrote them to say.
Status nothing_special(const std::vector<ConfigLine>& lines) {
  for (const ConfigLine& line : lines) {
    if (!is_ours(line)) continue;
    const std::optional<Entry> entry = read_entry(line, 0);
    for (const std::string& word : entry ? entry->words : std::vector<std::string>()) {
      if (word == "post" || word == "mode=observe" || word == "mode=enforce") continue;
      return not_understood("line " + std::to_string(line.number) + " has `" + printable(word, 60) +
                            "`, which `hallpass host enable` does not keep: take the word out, or go on by hand");
    }
  }
  return Unit{};
}

}  // namespace

PamLines pam_lines_in(std::string_view text) {
  PamLines found;
  int observing = 0;
  for (const ConfigLine& line : split_config(text)) {
    if (!is_ours(line)) continue;
    ++found.count;
    const std::vector<std::string> words = words_of(line.text);
    observing += std::find(words.begin(), words.end(), "mode=observe") != words.end() ? 1 : 0;
  }
  found.observe = found.count > 0 && observing == found.count;
  return found;
}

std::string without_pam_lines(std::string_view text) {
  std::string rest;
  for (const ConfigLine& line : split_config(text)) {
    if (!is_ours(line)) rest += line.raw;
  }
  return rest;
}

Result<std::string> put_pam_lines(std::string_view text, bool observe, const PamFile& other) {
  if (text.find('\r') != std::string_view::npos)
    return not_understood("it has Windows line ends (`sed -i 's/\\r$//' /etc/pam.d/sshd` takes them away)");
  if (text.find('\0') != std::string_view::npos) return not_understood("it holds a zero byte");
  if (const Status plain = nothing_special(split_config(text)); !plain) return plain.error();
  std::vector<ConfigLine> lines = split_config(without_pam_lines(text));
  end_last_line(lines);
  const std::vector<Entry> entries = read_entries(lines);
  Places places;
  const Result<std::size_t> account = account_place(entries);
  if (!account) return account.error();
  places.account = *account;
  if (const Status found = find_session_places(entries, other, places); !found) return found.error();
  std::string out;
  for (std::size_t i = 0; i <= lines.size(); ++i) {
    if (i == places.post) out += our_line("session    ", "required     ", " post", observe);
    if (i == places.account) out += our_line("account    ", "required     ", "", observe);
    if (i == places.session) out += our_line("session    ", "requisite    ", "", observe);
    if (i < lines.size()) out += lines[i].raw;
  }
  return out;
}

}  // namespace hallpass
